/** What `meshnet reset` would do. Looks, and changes nothing. */
import { listLinks } from "../../attach/mod.ts";
import type { DaemonAnswer, StatusReport } from "../../control/api_types.ts";
import { callDaemon } from "../../control/client.ts";
import { MeshnetError } from "../../core/errors.ts";
import { CONTROL_SOCKET } from "../../core/options.ts";
import { STORE_FILE } from "../../sys/store.ts";
import { type Flags, loadFolders } from "../config/config.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import { ownLinks } from "./host_cleanup.ts";

/** A line for each thing, without full stop; empty: nothing of meshnet is here. */
export async function previewReset(
  flags: Flags,
  { keepState }: { readonly keepState: boolean },
): Promise<readonly string[]> {
  const { runDir, stateDir } = await loadFolders(flags);
  const daemon = await ask<DaemonAnswer>(runDir, "/daemon");
  const status = await ask<StatusReport>(runDir, "/status");
  const state = daemon?.stateDir ?? stateDir;
  return [
    ...(daemon === undefined ? [] : [`stop the daemon, process ${daemon.pid}`]),
    ...(status?.attachments ?? []).map(({ addresses, name, target }) =>
      `cut ${name ?? target} off, which has ${addresses.join(" ") || "no address"}`
    ),
    ...(status?.exposed ?? []).map(({ address }) => `take this host's own address ${address}`),
    ...interfaces().map((name) => `remove interface ${name}`),
    ...(status?.firewall.rules ?? []).map((rule) => `remove a rule of this host's firewall in ${rule}`),
    ...[...keepState ? [] : [`${state}/${STORE_FILE}`], `${runDir}/${CONTROL_SOCKET}`].filter(isThere).map((
      path,
    ) =>
      path.endsWith(STORE_FILE)
        ? `remove ${path}: this host's name, addresses, targets and attachments`
        : `remove ${path}`
    ),
  ];
}

async function ask<T>(runDir: string, path: string): Promise<T | undefined> {
  try {
    return await callDaemon<T>({ method: "GET", path }, { runDir, timeoutMs: 5_000 });
  } catch (error) {
    if (error instanceof MeshnetError) return undefined; // none runs, or it hangs: `reset` says so
    throw error;
  }
}

function interfaces(): readonly string[] {
  using socket = openNetlinkIn({ protocol: "route" });
  const own = ownLinks(socket, []).map(({ name }) => name);
  const isSwitch = listLinks(socket).some(({ kind, name }) => name === DATAPATH && kind !== "bridge");
  return isSwitch ? [DATAPATH, ...own] : own; // Open vSwitch is no interface that is removed as one
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
