/** The resolv.conf of a process that has a file system of its own. */
import { type HeldFile, holdInside } from "../../../ffi/inside_root.ts";
import { MeshnetError } from "../../core/errors.ts";
import { readTextIfReadable } from "../../sys/files.ts";

/** Where processes look. */
const PATH = "/etc/resolv.conf";
/** Octal escapes of blanks in `mountinfo`. */
const ESCAPED = /\\([0-7]{3})/g;

/** The process that a target names; undefined: it names none. */
export function processOf(target: string): string | undefined {
  return /^(?:pid:|\/proc\/)([0-9]{1,10})(?:$|\/(?:task\/[0-9]+\/)?ns\/net$)/.exec(target)?.[1];
}

/**
 * The file of a process; undefined where it sees that of this host, has none, or is gone. Throws where it has one that
 * must not be written. What is written has to go with the process: it is a mount of its own, as engines make them, or
 * lies on a file system that this host does not have.
 */
export function ownFileOf(pid: string): HeldFile | undefined {
  const root = `/proc/${pid}/root`;
  if (mountsNamespace(pid) === mountsNamespace("self")) return undefined;
  using undo = new DisposableStack();
  const held = holdInside(root, PATH);
  if (held === undefined) return undefined;
  undo.use(held);
  const { dev, ino, isFile, uid } = Deno.statSync(held.path);
  if (!isFile) throw new MeshnetError("attach/failed", "it is a link, or no file");
  const [own, theirs] = ["self", pid].map((each) =>
    mountsOf(readTextIfReadable(`/proc/${each}/mountinfo`) ?? "")
  );
  const hosts = statOf(PATH);
  if (hosts !== undefined && hosts.dev === dev && hosts.ino === ino) return undefined;
  // A process that mounts things in a user namespace of its own has no files of others written.
  const user = userOf(pid);
  if (user !== 0 && user !== uid) {
    throw new MeshnetError("attach/failed", "it belongs to another user than the process");
  }
  const mount = mountWith(theirs!, PATH);
  const isOnHost = mount === undefined || own!.some(({ device }) => device === mount.device);
  if (mount?.point !== PATH && isOnHost) {
    throw new MeshnetError(
      "attach/failed",
      "it is on a disk of this host, where it would outlive the process",
    );
  }
  undo.move();
  return held;
}

/** A mounted file system: which, and where. */
interface Mount {
  /** `major:minor` */
  readonly device: string;
  readonly point: string;
}

/** What `/proc/PID/mountinfo` says. */
function mountsOf(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const [, , device, , point] = line.split(" ");
    if (device === undefined || point === undefined) return [];
    return [{
      device,
      point: point.replace(ESCAPED, (_, code: string) => String.fromCharCode(parseInt(code, 8))),
    }];
  });
}

/** The mount that a file lies on: the last one on the longest way to it. */
function mountWith(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts.filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`))
    .reduce<Mount | undefined>(
      (best, each) => best === undefined || each.point.length >= best.point.length ? each : best,
      undefined,
    );
}

function userOf(pid: string): number {
  const status = readTextIfReadable(`/proc/${pid}/status`) ?? "";
  return Number(/^Uid:\t[0-9]+\t([0-9]+)/m.exec(status)?.[1] ?? NaN);
}

function mountsNamespace(pid: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
