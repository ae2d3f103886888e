/** Whether what the daemon remembers can be written. */
import { statfsSync } from "node:fs";
import { MeshnetError } from "../../core/errors.ts";
import { notWritable, probe } from "../../sys/store_errors.ts";

/** State grows by kilobytes; below this much something else is filling the disk. */
const NEEDED_BYTES = 4 * 1024 * 1024;

/** What a file system has left. */
export interface DiskRoom {
  /** Octets that a service may still write. */
  readonly bytes: number;
  /** Octets of the whole. */
  readonly size: number;
  /** Files that may still be made; undefined: it does not count them. */
  readonly files: number | undefined;
}

/** What the file system has left on which a folder is, or will be; undefined where it does not say. */
export function diskRoom(path: string): DiskRoom | undefined {
  for (let at = path;; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
    try {
      const { bavail, blocks, bsize, ffree, files } = statfsSync(at === "" ? "/" : at);
      return { bytes: bavail * bsize, size: blocks * bsize, files: files > 0 ? ffree : undefined };
    } catch {
      if (at === "") return undefined; // the folder is not there yet: the one above it counts
    }
  }
}

/** "state/not-writable" when there is too little room for the state. A file system that is small as a whole is as somebody
 * wanted it: there only an eighth must be free. */
export function tooLittleRoom(path: string, room: DiskRoom | undefined): MeshnetError | undefined {
  if (room === undefined) return undefined;
  const needed = Math.min(NEEDED_BYTES, Math.ceil(room.size / 8));
  const what = room.bytes < needed
    ? `its file system has ${Math.floor(room.bytes / 1024)} KiB left of ${Math.floor(room.size / 1024)}`
    : room.files === 0
    ? "its file system can have no more files"
    : undefined;
  if (what === undefined) return undefined;
  return new MeshnetError("state/not-writable", `State in ${path} may soon be lost: ${what}`, {
    hint: `Make room on the file system of ${path}: see \`df ${path}\` and \`df -i ${path}\``,
  });
}

/** "state/not-writable" when nobody can write into the state folder: the kernel makes a file system with a fault read-only.
 * Only an empty file that goes at once is made there. */
export function writeProtected(folder: string): MeshnetError | undefined {
  // Not the state itself: to close it again would drop the lock that this process has on it.
  const thrown = probe(folder, 0); // a small file system need not take more
  return thrown === undefined || thrown instanceof Deno.errors.NotFound
    ? undefined
    : notWritable(folder, "write state", thrown);
}
