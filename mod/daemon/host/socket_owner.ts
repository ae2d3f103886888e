/** Who listens on Unix sockets of this network namespace. */
import { readTextIfReadable } from "../../sys/files.ts";

/** Flag of a listening socket in /proc/net/unix. */
const LISTENS = 0x1_0000;

/** A process that has a socket open. */
export interface SocketOwner {
  readonly pid: number;
  /** The user who made the socket. */
  readonly uid: number | null;
}

/** A socket on which somebody listens. */
export interface ListeningSocket {
  /** As /proc/net/unix shows it: a path, or `@name` for an abstract one. */
  readonly name: string;
  readonly inode: string;
}

/** The process that listens on one of the sockets at `paths`, in this network namespace; undefined when it cannot be
 * seen. The kernel lists a socket by the path where it was made, also after the file was renamed. */
export function socketOwner(...paths: string[]): number | undefined {
  const socket = listeningSockets().find(({ name }) => paths.includes(name));
  return socket && ownerOf(socket)?.pid;
}

/** All listening sockets with a name in this network namespace. `table` is the text of /proc/net/unix. */
export function listeningSockets(
  table = readTextIfReadable("/proc/net/unix") ?? "",
): readonly ListeningSocket[] {
  return table.split("\n").flatMap((line) => {
    const [, flags, inode, name] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +([0-9]+) (.+)$/.exec(line) ?? [];
    return name !== undefined && (parseInt(flags!, 16) & LISTENS) !== 0 ? [{ name, inode: inode! }] : [];
  });
}

/** A process that has this socket open; undefined when none can be seen: it lives in another pid namespace perhaps. */
export function ownerOf({ inode }: Pick<ListeningSocket, "inode">): SocketOwner | undefined {
  for (const { name } of Deno.readDirSync("/proc")) {
    const uid = /^[1-9][0-9]*$/.test(name) ? makerOf(name, `socket:[${inode}]`) : undefined;
    if (uid !== undefined) return { pid: Number(name), uid };
  }
  return undefined;
}

/** The user who made what a process has open under a name of /proc; undefined: it does not have that open. */
function makerOf(pid: string, link: string): number | null | undefined {
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${name}`;
      if (linkOf(path) === link) return Deno.statSync(path).uid;
    }
  } catch { /* it has ended, or is not ours to look at */ }
  return undefined;
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined; // closed meanwhile
  }
}
