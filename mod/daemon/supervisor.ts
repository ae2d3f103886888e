/** The life of the daemon's process: signals, service manager, orderly end. */
import { MeshnetError, messageOf } from "../core/errors.ts";
import { DEFAULT_RUN_DIR, envName, RUN_DIR_OPTION } from "../core/options.ts";
import { type Config, type Flags, loadConfig, reloadConfig } from "./config/config.ts";
import type { Ending } from "./ending.ts";
import { forgetFailedStart, noteFailedStart } from "./last_start.ts";
import { raiseFence } from "./threads/fence.ts";
import type { Daemon } from "./running.ts";

/** Longest orderly end, in milliseconds; after it the process ends anyway. */
const SHUTDOWN_MS = 10_000;

/** A second signal that comes later than this after the first ends the process at once, in milliseconds. One that comes
 * sooner is the same wish: `timeout` and some shells tell the process, and then its whole group. */
const SAME_WISH_MS = 500;

/** When to give back the memory that only starting needed, in milliseconds after READY. */
const RELEASE_MS = 5_000;

/** A process and the daemon in it, which may start again in the same process. */
interface Life {
  readonly flags: Flags;
  /** Set when the daemon is up; undefined: it is starting, or has ended. */
  daemon: Daemon | undefined;
  /** SIGHUP came while it was starting. */
  hungUp: boolean;
  /** When a signal first asked for the end, by performance.now(); undefined: none has. */
  askedAt: number | undefined;
  /** Peers that the configuration has named since it was read. */
  peers: readonly string[] | undefined;
  /** Reads the settings of the running daemon again. */
  reload: () => void;
  /** Ends the daemon, also one that is still starting. */
  end: (how: Ending) => void;
}

/** Runs the daemon until a signal, `meshnet down` or a failure ends it; returns the exit code. */
export async function runDaemon(flags: Flags): Promise<number> {
  const life: Life = {
    ...{ flags, hungUp: false, askedAt: undefined },
    daemon: undefined,
    peers: undefined,
    ...{ end: () => {}, reload: () => {} },
  };
  let root = beginIn(life);
  // Before anything slow: until then, each of these signals ends the process.
  using _listening = listen(life);
  // Before there is a daemon nothing is lost by ending.
  using _fence = raiseFence((what, error) => {
    if (life.daemon === undefined) life.end({ kind: "broken", error });
    else life.daemon.faults.tell(what, error);
  });
  const config = await loadConfig(flags).catch((error) => {
    noteFailedStart(runFolder(flags), error, Date.now());
    throw error;
  });
  Deno.env.delete("MESHNET_PASSWORD");
  for (;; root = beginIn(life)) {
    const peers = life.peers ?? config.peers;
    const how = await runOnce({ ...config, peers }, { life, root });
    if (how.kind !== "renamed") return how.kind === "asked" ? 0 : 1;
    if (life.askedAt !== undefined) return 0; // otherwise it starts again: interfaces and flows stay, as at any restart
  }
}

/** The run folder where no more is known of the settings. */
function runFolder(flags: Flags): string {
  const { name } = RUN_DIR_OPTION;
  const given = flags[name];
  return typeof given === "string" ? given : Deno.env.get(envName(name)) ?? DEFAULT_RUN_DIR;
}

/** What aborts the daemon that starts now, and the first reason for that. */
interface Root {
  readonly signal: AbortSignal;
  readonly ending: Promise<Ending>;
}

function beginIn(life: Life): Root {
  const root = new AbortController();
  const ending = Promise.withResolvers<Ending>();
  life.end = (how) => {
    ending.resolve(how);
    root.abort(how);
  };
  return { signal: root.signal, ending: ending.promise };
}

/** Runs one daemon to its end. Throws why it could not start, after it has noted that, or why it could not end. */
async function runOnce(config: Config, { life, root }: { life: Life; root: Root }): Promise<Ending> {
  const { assemble } = await import("./assemble.ts");
  let daemon: Daemon;
  try {
    daemon = await assemble(config, { signal: root.signal, end: life.end });
  } catch (error) {
    const isAborted = root.signal.aborted && error === root.signal.reason;
    const how: Ending | undefined = isAborted ? root.signal.reason : undefined;
    if (how !== undefined && how.kind !== "broken") return how; // stopped before it was up
    const why = how === undefined ? error : how.error;
    noteFailedStart(config.runDir, why, Date.now());
    throw why;
  }
  life.daemon = daemon;
  life.reload = () => void reload(life, { config, daemon });
  if (life.hungUp) life.reload();
  life.hungUp = false;
  forgetFailedStart(config.runDir);
  const { faults, logger } = daemon;
  daemon.notify(`READY=1\nSTATUS=${statusLine(config.peers)}`);
  keepWatchdogFed(daemon, root.signal);
  const release = setTimeout(faults.guard("give back memory", () => daemon.releaseMemory()), RELEASE_MS);

  const how = await root.ending;
  clearTimeout(release);
  if (how.kind !== "renamed") daemon.notify("STOPPING=1");
  if (how.kind !== "broken") {
    logger.info("stopping", { by: how.kind === "renamed" ? "the change of its name" : how.by });
  }
  if (how.kind === "broken") {
    logger.error("stopping after a failure", { reason: messageOf(how.error), stack: stackOf(how.error) });
  }
  const late = setTimeout(() => {
    logger.error("the end takes too long, leaving at once");
    Deno.exit(1);
  }, SHUTDOWN_MS);
  await daemon[Symbol.asyncDispose]();
  clearTimeout(late);
  life.daemon = undefined;
  forgetFailedStart(config.runDir); // of a second `up` meanwhile
  return how;
}

function listen(life: Life): Disposable {
  const stop = (signal: Deno.Signal) => () => {
    const now = performance.now();
    if (life.askedAt !== undefined && now - life.askedAt > SAME_WISH_MS) Deno.exit(1);
    life.askedAt ??= now;
    life.end({ kind: "asked", by: signal });
  };
  const hangUp = () => {
    if (life.daemon === undefined) life.hungUp = true;
    else life.reload();
  };
  // SIGHUP first: from the first listener on Deno hears all three, and ends the process for those that have none yet. For
  // a moment that remains so for SIGHUP itself.
  const listeners = [["SIGHUP", hangUp], ["SIGINT", stop("SIGINT")], ["SIGTERM", stop("SIGTERM")]] as const;
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

/** Reads the settings anew, takes the peers over, and says what else has changed. Broken settings leave everything as it
 * is. */
async function reload(life: Life, { config, daemon }: { config: Config; daemon: Daemon }): Promise<void> {
  try {
    const { needRestart, peers, peersFrom } = await reloadConfig(life.flags, config);
    if (needRestart.length > 0) {
      daemon.logger.warn("settings have changed that need a restart", { settings: needRestart.join(" ") });
    }
    if (peers === undefined) return daemon.logger.info("nothing to reload, the configuration names no peers");
    config.origins["peers"] = peersFrom;
    daemon.setPeers(peers);
    life.peers = peers;
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
