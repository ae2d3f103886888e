/** Who listens on a Unix socket. */
import { readTextIfReadable } from "../sys/files.ts";

/** Flag of a listening socket in /proc/net/unix. */
const LISTENS = 0x1_0000;

/** The process that listens on the socket at `path`, in this network namespace; undefined when it cannot be seen. */
export function socketOwner(path: string): number | undefined {
  const inode = listenerAt(path, readTextIfReadable("/proc/net/unix") ?? "");
  if (inode === undefined) return undefined;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (/^[1-9][0-9]*$/.test(name) && holds(name, `socket:[${inode}]`)) return Number(name);
  }
  return undefined;
}

/** The inode of the listening socket at `path`, from the text of /proc/net/unix. */
export function listenerAt(path: string, table: string): string | undefined {
  for (const line of table.split("\n")) {
    const [, flags, inode, name] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +([0-9]+) (.+)$/.exec(line) ?? [];
    if (name === path && (parseInt(flags!, 16) & LISTENS) !== 0) return inode;
  }
  return undefined;
}

function holds(pid: string, link: string): boolean {
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      if (linkOf(`/proc/${pid}/fd/${name}`) === link) return true;
    }
  } catch { /* it has ended, or is not ours to look at */ }
  return false;
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined; // closed meanwhile
  }
}
