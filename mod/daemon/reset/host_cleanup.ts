/** Removing everything meshnet made on this host, whether a daemon ran or died. */
import { isHostInterface, listLinks } from "../../attach/mod.ts";
import { ERRNO } from "../../core/errno.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { NAME_PORT } from "../../core/name_leg.ts";
import { CONTROL_SOCKET, STATUS_SOCKET } from "../../core/options.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import { removeIfThere } from "../../sys/files.ts";
import { TAP_NAME } from "../../overlay/ports/tap_port.ts";
import { STORE_FILE } from "../../sys/store.ts";
import { NEW_SUFFIX } from "../../sys/store_file.ts";
import { deleteLink } from "../../wire/netlink/rtnetlink.ts";
import { FAILED_START_FILE } from "../last_start.ts";

/** The bridge of hosts whose kernel has no Open vSwitch. The TAP goes with its daemon, unless that left it persistent. */
const BRIDGE = "meshnet";

/** Tunnels of hosts that switch by programs. */
const TUNNEL = /^vxlan-[1-9][0-9]*$/;

/** Files of the state folder. */
const STATE_FILES = [STORE_FILE, `${STORE_FILE}-wal`, `${STORE_FILE}-shm`, `${STORE_FILE}-journal`];
/** Files of the run folder. */
export const RUN_FILES: readonly string[] = [CONTROL_SOCKET, STATUS_SOCKET, FAILED_START_FILE];

/** What is cleaned, and through what. */
export interface CleanupOptions {
  /** An rtnetlink socket of the host's namespace. */
  readonly links: NetlinkSocket;
  /** Removes meshnet's datapath with its ports and flows; false when there is none. */
  removeDatapath(): boolean;
  /** Removes meshnet's IPsec policies and associations; false when there are none. */
  removeIpsec(): boolean;
  /** Gives files of namespaces back as they were; false when there are none. Where it throws, the state stays: it says what
   * they were. */
  restoreFiles(): boolean;
  /** Removes meshnet's rules from this host's firewall; false when there are none. */
  removeFirewall(): boolean;
  readonly stateDir: string;
  /** The state stays: the next start attaches again what it says. */
  readonly keepState: boolean;
  readonly runDir: string;
  /** Sockets in folders of others, at which nobody listens. */
  readonly sockets: readonly string[];
}

/** What cleanHost() did. */
export interface Cleanup {
  /** What was removed, in words: `datapath meshnet`, `interface vmn...`, a path. Empty: there was nothing. */
  readonly removed: readonly string[];
  /** What could not be removed, and why. */
  readonly failed: readonly string[];
}

/**
 * Removes the datapath with its tunnel ports, the host ends of all attachments with the interfaces in containers, and
 * the files that meshnet made. Then removes the two folders if nothing else is in them. Call it while no daemon runs. It
 * goes on after a failure. Calling it again is safe. It touches nothing that meshnet did not make.
 */
export function cleanHost(options: CleanupOptions): Cleanup {
  const removed: string[] = [];
  const failed: string[] = [];
  const attempt = (what: string, remove: () => boolean): boolean => {
    try {
      if (remove()) removed.push(what);
      return true;
    } catch (thrown) {
      failed.push(`${what}: ${messageOf(thrown)}`);
      return false;
    }
  };
  const areBack = attempt("resolv.conf of namespaces", () => options.restoreFiles());
  attempt("datapath meshnet", () => options.removeDatapath());
  // Not before the datapath: what still flows must not do so in clear.
  attempt("IPsec policies and keys", () => options.removeIpsec());
  attempt("rules in this host's firewall", () => options.removeFirewall());
  for (const { name, index } of ownLinks(options.links, failed)) {
    attempt(`interface ${name}`, () => removeLink(options.links, index));
  }
  const state = [
    ...STATE_FILES.map((file) => `${options.stateDir}/${file}`),
    ...unfinished(options.stateDir),
    options.stateDir,
  ];
  const run = [...RUN_FILES.map((file) => `${options.runDir}/${file}`), options.runDir];
  const paths = [...areBack && !options.keepState ? state : [], ...run, ...options.sockets];
  for (const path of paths) attempt(path, () => removeIfThere(path));
  return { removed, failed };
}

/** Files that a start or a look at the folder left behind when it was killed. */
function unfinished(stateDir: string): string[] {
  try {
    return [...Deno.readDirSync(stateDir)].map(({ name }) => name)
      .filter((name) => name.startsWith(STORE_FILE + NEW_SUFFIX) || name.startsWith(".meshnet-"))
      .map((name) => `${stateDir}/${name}`);
  } catch {
    return []; // no folder, no files
  }
}

/** Interfaces that are ours, whatever others are called. */
export function ownLinks(
  socket: NetlinkSocket,
  failed: string[],
): readonly { name: string; index: number }[] {
  try {
    const links = listLinks(socket);
    const bridge = links.find(({ name, kind }) => name === BRIDGE && kind === "bridge")?.index ?? 0;
    return links.filter(({ name, kind, master }) =>
      ((isHostInterface(name) || name === NAME_PORT) && kind === "veth") ||
      (name === TAP_NAME && kind === "tun") ||
      (TUNNEL.test(name) && kind === "vxlan" && master === bridge) ||
      (name === BRIDGE && kind === "bridge")
    );
  } catch (thrown) {
    failed.push(`interfaces: ${messageOf(thrown)}`);
    return [];
  }
}

function removeLink(socket: NetlinkSocket, index: number): boolean {
  try {
    socket.request(deleteLink(index));
    return true;
  } catch (thrown) {
    if (thrown instanceof MeshnetError && thrown.errno === ERRNO.ENODEV) return false; // went with something else
    throw thrown;
  }
}
