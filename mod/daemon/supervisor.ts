/** The life of the daemon's process: signals, service manager, orderly end. */
import { MeshnetError, messageOf } from "../core/errors.ts";
import { type Flags, loadConfig, loadPeers } from "./config.ts";
import type { Ending } from "./ending.ts";
import { raiseFence } from "./fence.ts";
import type { Daemon } from "./running.ts";

/** Longest orderly end, in milliseconds; after it the process ends anyway. */
const SHUTDOWN_MS = 10_000;

/** When to give back the memory that only starting needed, in milliseconds after READY. */
const RELEASE_MS = 5_000;

/** What signals do to a daemon, also to one that is still starting. */
interface Signals {
  /** Set when the daemon is up; undefined: it is starting. */
  daemon: Daemon | undefined;
  /** SIGHUP came while it was starting. */
  hungUp: boolean;
}

/** Runs the daemon until a signal, `meshnet down` or a failure ends it; returns the exit code. */
export async function runDaemon(flags: Flags): Promise<number> {
  const root = new AbortController();
  const ending = Promise.withResolvers<Ending>();
  const end = (how: Ending) => {
    ending.resolve(how);
    root.abort(how);
  };
  const state: Signals = { daemon: undefined, hungUp: false };
  // Before anything slow: until then, each of these signals ends the process.
  using _listening = listen(flags, { state, root, end });
  // Before there is a daemon nothing is lost by ending.
  using _fence = raiseFence((what, error) => {
    if (state.daemon === undefined) end({ kind: "broken", error });
    else state.daemon.faults.tell(what, error);
  });
  const config = await loadConfig(flags);
  Deno.env.delete("MESHNET_PASSWORD");

  const { assemble } = await import("./assemble.ts");
  let daemon: Daemon;
  try {
    daemon = await assemble(config, { signal: root.signal, end });
  } catch (error) {
    if (!root.signal.aborted || error !== root.signal.reason) throw error;
    const how: Ending = root.signal.reason;
    if (how.kind === "broken") throw how.error;
    return 0; // stopped before it was up
  }
  state.daemon = daemon;
  if (state.hungUp) void reload(flags, daemon);
  const { faults, logger } = daemon;
  daemon.notify(`READY=1\nSTATUS=${statusLine(config.peers)}`);
  keepWatchdogFed(daemon, root.signal);
  const release = setTimeout(faults.guard("give back memory", () => daemon.releaseMemory()), RELEASE_MS);

  const how = await ending.promise;
  clearTimeout(release);
  daemon.notify("STOPPING=1");
  if (how.kind === "asked") logger.info("stopping", { by: how.by });
  else logger.error("stopping after a failure", { reason: messageOf(how.error), stack: stackOf(how.error) });
  const late = setTimeout(() => {
    logger.error("the end takes too long, leaving at once");
    Deno.exit(1);
  }, SHUTDOWN_MS);
  await daemon[Symbol.asyncDispose]();
  clearTimeout(late);
  return how.kind === "asked" ? 0 : 1;
}

function listen(
  flags: Flags,
  { end, root, state }: {
    readonly state: Signals;
    readonly root: AbortController;
    readonly end: (how: Ending) => void;
  },
): Disposable {
  const stop = (signal: Deno.Signal) => () => {
    if (root.signal.aborted) Deno.exit(1); // asked twice: at once
    end({ kind: "asked", by: signal });
  };
  const hangUp = () => {
    if (state.daemon === undefined) state.hungUp = true;
    else void reload(flags, state.daemon);
  };
  const listeners = [["SIGINT", stop("SIGINT")], ["SIGTERM", stop("SIGTERM")], ["SIGHUP", hangUp]] as const;
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error && !(error instanceof MeshnetError) ? error.stack : undefined;
}

function statusLine(peers: readonly string[] | undefined): string {
  return peers === undefined || peers.length === 0 ? "Running" : `Running, connecting to ${peers.join(", ")}`;
}

/** Reads the peers anew; a broken configuration leaves everything as it is. */
async function reload(flags: Flags, daemon: Daemon): Promise<void> {
  try {
    const peers = await loadPeers(flags);
    if (peers === undefined) return daemon.logger.info("nothing to reload, the configuration names no peers");
    daemon.setPeers(peers);
    daemon.notify(`STATUS=${statusLine(peers)}`);
    daemon.logger.info("peers reloaded", { peers: peers.join(" ") });
  } catch (error) {
    daemon.logger.error("cannot reload, everything stays as it was", { reason: messageOf(error) });
  }
}

/**
 * Where systemd watches us (WATCHDOG_USEC): tells it twice per period that main loop and data plane are alive. The
 * timer proves the first, the data plane's answer the second. Nobody watches: no timer.
 */
function keepWatchdogFed(daemon: Daemon, signal: AbortSignal): void {
  const period = Number(Deno.env.get("WATCHDOG_USEC")) / 1000;
  const pid = Deno.env.get("WATCHDOG_PID");
  if (!(period > 0) || (pid !== undefined && pid !== "" && Number(pid) !== Deno.pid)) return;
  let timer: ReturnType<typeof setTimeout>;
  const beat = daemon.faults.guard("tell the service manager", async () => {
    const alive = await daemon.isAlive(period / 4);
    if (signal.aborted) return;
    if (alive) daemon.notify("WATCHDOG=1");
    else daemon.logger.error("data plane does not answer");
    timer = setTimeout(beat, period / 2);
  });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  timer = setTimeout(beat, 0);
}
