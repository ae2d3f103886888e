/** What `meshnet reset` would do. Looks, and changes nothing. */
import { CONTAINER_PREFIX, listLinks } from "../../attach/mod.ts";
import type { HolderReport } from "../../control/address_types.ts";
import type { DaemonAnswer, StatusReport } from "../../control/api_types.ts";
import { callDaemon } from "../../control/client.ts";
import { MeshnetError } from "../../core/errors.ts";
import { NAME_SERVER_IP } from "../../core/name_leg.ts";
import { whyUnreachable } from "../../docker/engine_shell.ts";
import { ownNft } from "../../firewall/nft_shell.ts";
import { ownState } from "../../ipsec/xfrm_kernel_shell.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import { STORE_FILE } from "../../sys/store.ts";
import { missingCapabilities, processStatus } from "../checks/capabilities.ts";
import { type Flags, loadFolders } from "../config/config.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import { ownLinks, RUN_FILES } from "./host_cleanup.ts";
import { leftState, notHandedOver } from "./left_state.ts";

/** A line for each thing, without full stop; empty: nothing of meshnet is here. Throws "up/not-permitted" as `reset`
 * would: who may not do it does not see all of it, either. */
export async function previewReset(
  flags: Flags,
  { keepState }: { readonly keepState: boolean },
): Promise<readonly string[]> {
  const fault = missingCapabilities(processStatus());
  if (fault !== undefined) throw fault;
  const { docker, dockerPlugin, runDir, sockets, stateDir } = await loadFolders(flags);
  const daemon = await ask<DaemonAnswer>(runDir, "/daemon");
  const state = daemon?.stateDir ?? stateDir;
  const runs = daemon === undefined ? undefined : await ask<StatusReport>(runDir, "/status");
  const left = daemon === undefined ? leftState(state) : undefined;
  const own = !keepState;
  const hasNetworks = own && daemon !== undefined && docker !== undefined && dockerPlugin !== undefined &&
    await whyUnreachable(docker) === undefined;
  const files = left?.files ?? runs?.attachments.map(({ target }) => target).filter(isWritten) ?? [];
  return [
    ...hasNetworks ? ["remove networks of the container engine by meshnet that no container is in"] : [],
    ...own && handsOver(runs) ? ["hand this host's share of the addresses to others"] : [],
    ...daemon === undefined ? [] : [`stop the daemon, process ${daemon.pid}`],
    ...(runs?.attachments ?? left?.attached ?? []).map((one) =>
      `cut ${"name" in one && one.name || one.target} off, which has ${
        one.addresses.join(" ") || "no address"
      }`
    ),
    ...await networked(runs, runDir),
    ...(runs?.exposed ?? []).map(({ address }) => `take this host's own address ${address}`),
    ...files.map((target) => `give the resolv.conf of ${target} back as it was`),
    ...interfaces().map((name) => `remove interface ${name}`),
    ...ipsec(),
    ...firewall(runs?.firewall.rules),
    ...[
      ...own ? [`${state}/${STORE_FILE}`] : [],
      ...RUN_FILES.map((name) => `${runDir}/${name}`),
      ...sockets,
    ].filter(isThere).map((path) =>
      path.endsWith(STORE_FILE)
        ? `remove ${path}: this host's name, addresses, targets and attachments`
        : `remove ${path}`
    ),
    ...own && left !== undefined ? [notHandedOver(left)].filter((line) => line !== undefined) : [],
  ];
}

/** Containers of the engine's networks: they lose their interface. */
async function networked(runs: StatusReport | undefined, runDir: string): Promise<readonly string[]> {
  if ((runs?.engine?.containers ?? 0) === 0) return [];
  const attached = new Set(runs!.attachments.map(({ target }) => target));
  return (await ask<readonly HolderReport[]>(runDir, "/ps") ?? []).flatMap((one) => {
    const isOne = one.attached && one.holder.startsWith(CONTAINER_PREFIX) && !attached.has(one.holder);
    const name = one.name ?? one.holder;
    return isOne
      ? [`cut ${name}, which has ${one.addresses.join(" ")}, off until the next \`meshnet up\``]
      : [];
  });
}

/** Whether others get what this host owns. */
function handsOver(status: StatusReport | undefined): boolean {
  const { ipam, name } = status ?? {};
  const mine = ipam?.owners.find(({ peer }) => peer === name);
  return mine !== undefined && mine.addresses > 0 && ipam!.owners.length > 1;
}

/** Whether a namespace asks this host for names because of what `attach` has written. */
function isWritten(target: string): boolean {
  const name = /^netns:(.+)$/.exec(target)?.[1];
  const text = name === undefined ? undefined : readTextIfReadable(`/etc/netns/${name}/resolv.conf`);
  return text?.includes(NAME_SERVER_IP) ?? false;
}

function ipsec(): readonly string[] {
  try {
    using socket = openNetlinkIn({ protocol: "xfrm" });
    const { policies, sas } = ownState(socket);
    const all = policies.length + sas.length;
    return all === 0 ? [] : [`remove ${policies.length} policies and ${sas.length} keys of IPsec`];
  } catch {
    return []; // a kernel without IPsec has nothing of it to remove
  }
}

/** Rules of ours; those that a daemon knows are told by their places. */
function firewall(known: readonly string[] | undefined): readonly string[] {
  if (known !== undefined) return known.map((rule) => `remove a rule of this host's firewall in ${rule}`);
  try {
    using socket = openNetlinkIn({ protocol: "netfilter" });
    const rules = ownNft(socket).reduce((sum, one) => sum + one.rules, 0);
    return rules === 0 ? [] : [`remove ${rules === 1 ? "a rule" : `${rules} rules`} of this host's firewall`];
  } catch {
    return []; // a kernel without nf_tables has none of them
  }
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
