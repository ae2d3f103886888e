/** Whether the limits of this process are enough. */
import { MeshnetError } from "../../core/errors.ts";
import { readTextIfReadable } from "../../sys/files.ts";

/** Files that a daemon has open with some peers, containers and local clients. Idle it has 50. */
const NEEDED_FILES = 256;

/** What a limit is best raised to: there is room for many. */
const GOOD_FILES = 1024;

/** When so much of the open files is in use, it is told. */
const MOST_IN_USE = 0.75;

/** Threads that a daemon makes after its checks: the data plane's and what its runtime needs. It made five here. */
const NEEDED_THREADS = 16;

/** How many files this process may have open; the runtime has raised that as far as it may. Infinity where nothing says
 * so. `limits` is the text of /proc/self/limits. */
export function openFileLimit(limits = readTextIfReadable("/proc/self/limits") ?? ""): number {
  return Number(/^Max open files +([0-9]+) /m.exec(limits)?.[1] ?? Infinity);
}

/** "up/not-permitted" when the daemon would run out of open files. */
export function tooFewOpenFiles(limit: number = openFileLimit()): MeshnetError | undefined {
  if (limit >= NEEDED_FILES) return undefined;
  const message = `Cannot run with so few open files: the limit is ${limit}, ${NEEDED_FILES} are needed`;
  return new MeshnetError("up/not-permitted", message, {
    hint: `Raise it with \`ulimit -n ${GOOD_FILES}\`; for a service by LimitNOFILE= in its unit`,
  });
}

/** What a process has open, and may have open. */
export interface DescriptorUse {
  /** The process. */
  readonly pid: number;
  /** Files, sockets and the like that are open. */
  readonly open: number;
  /** How many may be. */
  readonly limit: number;
}

/** The use of a process, of this one unless given. */
export function descriptorUse(pid = Deno.pid): DescriptorUse {
  const limit = openFileLimit(readTextIfReadable(`/proc/${pid}/limits`));
  return { pid, open: [...Deno.readDirSync(`/proc/${pid}/fd`)].length, limit };
}

/** "up/not-permitted" when the daemon has used up most of what it may have open. */
export function tooFewLeft({ limit, open, pid }: DescriptorUse): MeshnetError | undefined {
  if (open < limit * MOST_IN_USE) return undefined;
  const message = `The daemon will soon be out of open files: it has ${open} open, the limit is ${limit}`;
  return new MeshnetError("up/not-permitted", message, {
    hint: "Raise it: LimitNOFILE= in its unit, `ulimit -n` where it is started, or at once " +
      `\`prlimit --pid ${pid} --nofile=${Math.max(2 * limit, GOOD_FILES)}\``,
  });
}

/** A bound on the threads of a cgroup, and what is left of it. */
export interface ThreadRoom {
  /** Threads that may still be made. */
  readonly left: number;
  /** The bound. */
  readonly limit: number;
  /** The file that sets it. */
  readonly file: string;
}

/** What the cgroups of this process leave, the least of all; undefined where none has a bound that can be read. `groups`
 * is the text of /proc/self/cgroup, `read` gives the text of a file. */
export function threadRoom(
  groups = readTextIfReadable("/proc/self/cgroup") ?? "",
  read: (path: string) => string | undefined = readTextIfReadable,
): ThreadRoom | undefined {
  let least: ThreadRoom | undefined;
  for (const line of groups.split("\n")) {
    const [, kind, group] = /^[0-9]+:([^:]*):(.*)$/.exec(line) ?? [];
    if (kind === undefined || (kind !== "" && !kind.split(",").includes("pids"))) continue;
    const top = kind === "" ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
    for (let path = `${top}${group}`.replace(/\/$/, "");; path = path.slice(0, path.lastIndexOf("/"))) {
      const file = `${path}/pids.max`;
      const limit = Number.parseInt(read(file) ?? "");
      const left = limit - Number.parseInt(read(`${path}/pids.current`) ?? "");
      if (left < (least?.left ?? Infinity)) least = { left, limit, file };
      if (path.length <= top.length) break;
    }
  }
  return least;
}

/** "up/not-permitted" when the daemon could not make its threads. */
export function tooFewThreads(room: ThreadRoom | undefined = threadRoom()): MeshnetError | undefined {
  if (room === undefined || room.left >= NEEDED_THREADS) return undefined;
  const message = `Cannot run with so few threads: pids.max is ${room.limit}, which leaves ${
    Math.max(0, room.left)
  } more, ${NEEDED_THREADS} are needed`;
  return new MeshnetError("up/not-permitted", message, {
    hint: `Raise it by 64 or more: --pids-limit of the container, TasksMax= of the service, or ${room.file}`,
  });
}
