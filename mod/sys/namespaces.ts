/** What the host can say about namespaces and the processes in them. */
import { readTextIfReadable } from "./files.ts";

/** The daemon's own namespace, as its main thread has it. */
const OWN = "/proc/self/ns/net";
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
/** Field of /proc/N/stat with the process's start, counted from the state after the name (proc(5): field 22). */
const START_TIME = 19;

function identify(path: string): { device: number; inode: number } | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    return ino === null ? undefined : { device: dev, inode: ino };
  } catch (thrown) {
    const gone = thrown instanceof Deno.errors.NotFound || thrown instanceof Deno.errors.NotADirectory;
    // A process that ends while one looks at it gives ESRCH.
    if (gone || (thrown as { code?: string }).code === "ESRCH") return undefined;
    throw thrown;
  }
}

/** Looks at /proc and at files; implements what attaching asks of the host. */
export class ProcNamespaces {
  /** Identity of the file at `path`, links followed; undefined when there is nothing. */
  identify(path: string): { device: number; inode: number } | undefined {
    return identify(path);
  }

  /** Identity of the daemon's own network namespace. */
  own(): { device: number; inode: number } {
    const found = identify(OWN);
    if (found === undefined) throw new TypeError(`Cannot find own network namespace: there is no ${OWN}`);
    return found;
  }

  /** Boot and start time of a process, which no later process with its number shares; undefined when it is gone. */
  processMark(pid: number): string | undefined {
    const stat = readTextIfReadable(`/proc/${pid}/stat`);
    const start = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME];
    if (start === undefined) return undefined;
    return `${readTextIfReadable(BOOT_ID)?.trim() ?? ""} ${start}`;
  }
}
