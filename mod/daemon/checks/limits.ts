/** Whether the limits of this process are enough. */
import { MeshnetError } from "../../core/errors.ts";
import { readTextIfReadable } from "../../sys/files.ts";

/** Files that a daemon has open with some peers, containers and local clients. Idle it has 50. */
const NEEDED_FILES = 256;

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
    hint: `Raise it with \`ulimit -n ${NEEDED_FILES}\`; for a service by LimitNOFILE= in its unit`,
  });
}
