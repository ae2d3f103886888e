/** `meshnet reset`: stops the daemon if there is one, then removes everything meshnet made on this host. */
import type { WaitAnswer } from "../../control/address_types.ts";
import type { DaemonAnswer, StatusReport, StopAnswer } from "../../control/api_types.ts";
import { callDaemon } from "../../control/client.ts";
import { checkReplaceable } from "../../control/socket_file.ts";
import { parseEndpoint } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { CONTROL_SOCKET, FIRST_CONTROL_SOCKET } from "../../core/options.ts";
import { driverOf } from "../../docker/plugin_calls.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import type { CleanupOptions } from "./host_cleanup.ts";
import { type Config, type Flags, loadFolders } from "../config/config.ts";
import { networkNamespace } from "../host/host_facts.ts";
import { socketOwner } from "../host/socket_owner.ts";

/** FIRST_CONTROL_SOCKET of earlier versions: one may run. */
const EARLIER_FIRST_SOCKET = "control.new";
const LEAVE_MS = 5_000;
/** Hosts to which one may connect again. */
const MOST_NAMED = 3;
const STOP_MS = 30_000;
const AS_ROOT = "Run `meshnet reset` as root";
const KILL_MS = 5000;
const KILL_POLL_MS = 20;

/** Stops and removes. Throws MeshnetError when something is left; `say` gets one line for each thing done. */
export async function resetHost(
  flags: Flags,
  { force, keepState, say }: {
    readonly force: boolean;
    /** Identity, addresses and attachments stay, and with them this host's share of addresses. */
    readonly keepState: boolean;
    readonly say: (line: string) => void;
  },
): Promise<void> {
  const folders = await loadFolders(flags);
  const daemon = await findDaemon(folders.runDir, { force, say });
  let others: readonly string[] = [];
  if (daemon !== undefined) {
    checkSameNamespace(daemon);
    if (!keepState) {
      others = await connectedHosts(folders.runDir);
      await removeNetworks(folders, say);
      await handOver(folders.runDir, say);
    }
    await stopDaemon(daemon, { runDir: folders.runDir, force });
    say("Stopped the daemon.");
  }
  const stateDir = daemon?.stateDir ?? folders.stateDir;
  const { leftState, notHandedOver } = await import("./left_state.ts");
  const left = daemon === undefined && !keepState ? leftState(stateDir) : undefined;
  const { openCleanup } = await import("./cleanup_parts.ts");
  const { missingCapabilities, processStatus } = await import("../checks/capabilities.ts");
  const fault = missingCapabilities(processStatus());
  if (fault !== undefined) throw fault;
  await checkStateUnused(stateDir);
  const { claimNamespace } = await import("../host/claim_namespace.ts");
  const { DATAPATH } = await import("../host/ovs_host.ts");
  using _claim = claimNamespace(DATAPATH); // nobody works with what is removed, and nobody starts meanwhile
  using host = openCleanup();
  const { cleanHost } = await import("./host_cleanup.ts");
  const { STORE_FILE } = await import("../../sys/store.ts");
  const restoreFiles = await fileRestorer(stateDir);
  const sockets = await leftSockets(folders.sockets);
  const options: CleanupOptions = {
    ...host,
    restoreFiles,
    sockets,
    stateDir,
    keepState,
    runDir: folders.runDir,
  };
  const { removed, failed } = cleanHost(options);
  for (const what of removed) say(`Removed ${what}.`);
  const todo = left === undefined ? undefined : notHandedOver(left);
  if (todo !== undefined) say(`${todo}.`);
  if (removed.length === 0 && failed.length === 0) say("Nothing of meshnet is on this host.");
  else if (!keepState && !removed.includes(`${stateDir}/${STORE_FILE}`) && failed.length === 0) {
    say(`No state was in ${stateDir}. If the router had another folder for it, give that with --state-dir.`);
  }
  if (others.length > 0) {
    // A host that nobody is named to shares the range out by itself as soon as somebody wants an address.
    say(`To join the same network again: meshnet up --peers ${others.join(",")}`);
  }
  if (failed.length > 0) {
    throw new MeshnetError("control/request-failed", `Cannot remove everything: ${failed.join("; ")}`, {
      hint: "Mend what the reasons name, then run `meshnet reset` again",
    });
  }
}

/** Sockets that a daemon that was killed has left: engines and clients would go on asking there. */
async function leftSockets(paths: readonly string[]): Promise<readonly string[]> {
  const left: string[] = [];
  for (const path of paths) {
    try {
      if (Deno.lstatSync(path).isSocket !== true) continue;
      await checkReplaceable(path);
      left.push(path);
    } catch { /* there is none, or somebody listens there */ }
  }
  return left;
}

/** Whether this user may not speak with the daemon, which is no fault of it. */
function isDenied(error: unknown): boolean {
  return /permission denied/.test(messageOf(error));
}

async function findDaemon(
  runDir: string,
  { force, say }: { readonly force: boolean; readonly say: (line: string) => void },
): Promise<DaemonAnswer | undefined> {
  try {
    return await callDaemon<DaemonAnswer>({ method: "GET", path: "/daemon" }, { runDir, timeoutMs: 5000 });
  } catch (error) {
    if (error instanceof MeshnetError && error.code === "control/not-running") return undefined;
    if (!force) {
      throw new MeshnetError("control/request-failed", `Cannot reset: ${messageOf(error)}`, {
        hint: isDenied(error) ? AS_ROOT : "`meshnet reset --force` kills it",
        cause: error,
      });
    }
    const names = [FIRST_CONTROL_SOCKET, EARLIER_FIRST_SOCKET, CONTROL_SOCKET];
    const pid = socketOwner(...names.map((name) => `${runDir}/${name}`));
    if (pid === undefined) {
      throw new MeshnetError("control/request-failed", `Cannot reset: ${messageOf(error)}`, {
        hint: isDenied(error)
          ? AS_ROOT
          : "It cannot be seen from here either: run this where its process is, in its container perhaps",
        cause: error,
      });
    }
    await kill(pid);
    say("Killed the daemon, which did not answer.");
    return undefined;
  }
}

/** The kernel's objects of a daemon can only be removed from its own network namespace. */
function checkSameNamespace(daemon: DaemonAnswer): void {
  if (daemon.netns === networkNamespace()) return;
  throw new MeshnetError(
    "usage/bad-option",
    `Cannot reset from here: the daemon works in network namespace ${daemon.netns}`,
    {
      hint: `Run it there: nsenter --net=/proc/${daemon.pid}/ns/net meshnet reset ...`,
    },
  );
}

/** Addresses of some hosts that this one is connected to. What cannot be asked is not told. */
async function connectedHosts(runDir: string): Promise<readonly string[]> {
  try {
    const request = { method: "GET", path: "/status" } as const;
    const { connections } = await callDaemon<StatusReport>(request, { runDir, timeoutMs: LEAVE_MS });
    const established = connections.filter(({ state }) => state === "established");
    return established.map(({ address }) => parseEndpoint(address)?.ip ?? address).slice(0, MOST_NAMED);
  } catch {
    return [];
  }
}

async function removeNetworks(
  { docker, dockerPlugin }: Pick<Config, "docker" | "dockerPlugin">,
  say: (line: string) => void,
): Promise<void> {
  if (docker === undefined || dockerPlugin === undefined) return;
  const { removeEngineNetworks } = await import("./engine_networks.ts");
  await removeEngineNetworks({ socket: docker, driver: driverOf(dockerPlugin) }, say);
}

/** Gives this host's share of addresses to others. Where that fails, they can take it over with `rmpeer`. */
async function handOver(runDir: string, say: (line: string) => void): Promise<void> {
  try {
    const request = { method: "POST", path: "/leave", body: {} } as const;
    await callDaemon<WaitAnswer>(request, { runDir, timeoutMs: LEAVE_MS });
  } catch (error) {
    say(`Could not hand this host's addresses to others: ${messageOf(error)}.`);
  }
}

async function stopDaemon(
  daemon: DaemonAnswer,
  { runDir, force }: { readonly runDir: string; readonly force: boolean },
): Promise<void> {
  try {
    const request = { method: "POST", path: "/stop", body: { forGood: true } } as const;
    await callDaemon<StopAnswer>(request, { runDir, timeoutMs: STOP_MS });
  } catch (error) {
    if (!force) {
      throw new MeshnetError("control/request-failed", `The daemon does not stop: ${messageOf(error)}`, {
        hint: "`meshnet reset --force` kills it",
        cause: error,
      });
    }
    await kill(daemon.pid);
  }
}

/** Kills a process and waits for its end. */
async function kill(pid: number): Promise<void> {
  Deno.kill(pid, "SIGKILL");
  for (let waited = 0; waited < KILL_MS && isAlive(pid); waited += KILL_POLL_MS) {
    await new Promise((resolve) => setTimeout(resolve, KILL_POLL_MS));
  }
}

/** Whether a process has not ended yet; one whose parent has not noticed has. The first of its threads may end before
 * the others, which still hold its sockets and locks. */
function isAlive(pid: number): boolean {
  const stat = readTextIfReadable(`/proc/${pid}/stat`);
  if (stat === undefined) return false;
  return !/^.*\) [ZX] /s.test(stat) || threadsOf(pid) > 1;
}

function threadsOf(pid: number): number {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].length;
  } catch {
    return 0; // it has gone
  }
}

/** Refuses while a daemon with another run folder has this state open. Broken state is no reason: it goes anyway. */
async function checkStateUnused(stateDir: string): Promise<void> {
  const { openStore, STORE_FILE } = await import("../../sys/store.ts");
  try {
    Deno.lstatSync(`${stateDir}/${STORE_FILE}`);
  } catch {
    return;
  }
  try {
    openStore(stateDir)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof MeshnetError) || error.code !== "up/already-running") return;
    throw new MeshnetError("up/already-running", `Cannot reset: a daemon uses the state in ${stateDir}`, {
      hint: "Give its --run-dir, so that it is stopped first, or stop it yourself",
      cause: error,
    });
  }
}

/** Gives files of namespaces back as the state says that they were. State that nobody can read says nothing. Throws where
 * a file cannot be given back. */
async function fileRestorer(stateDir: string): Promise<() => boolean> {
  const { openStore, STORE_FILE } = await import("../../sys/store.ts");
  const { ResolvFiles } = await import("../names/resolv_files.ts");
  const { NAME_SERVER_IP } = await import("../../core/name_leg.ts");
  const { openLog } = await import("../../sys/log_sink.ts");
  return () => {
    try {
      Deno.lstatSync(`${stateDir}/${STORE_FILE}`);
      using store = openStore(stateDir);
      const logger = openLog({ level: "warn", format: "text" });
      const parts = { store, logger, server: NAME_SERVER_IP, domain: "", resolvConf: "" };
      return new ResolvFiles(parts).restoreAll();
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound) return false;
      if (thrown instanceof MeshnetError && thrown.code === "state/unreadable") return false;
      throw thrown;
    }
  };
}
