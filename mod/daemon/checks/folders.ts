/** Whether a folder can be trusted with the socket through which the daemon is told what to do, or with its state. */
import { MeshnetError } from "../../core/errors.ts";

const WRITE_BY_OTHERS = 0o002;
const STICKY = 0o1000;
const SYMLINK_LIMIT = 40;

/** What is asked of a file system. Paths that are not there give undefined. */
export interface FolderLook {
  /** Of the path itself, not of what a link leads to. */
  lstat(path: string): Pick<Deno.FileInfo, "isDirectory" | "isSymlink" | "mode" | "uid"> | undefined;
  readLink(path: string): string;
}

/** "up/unsafe-folder" when a user other than root and us could exchange the folder, or what is in it: it is his, anybody
 * may write into it, or a link on the way is his; and where there is a file in its place. A folder that is not there yet is judged by those above it. `option` names
 * it for people. */
export function unsafeFolder(
  path: string,
  option: string,
  { look = SYSTEM, uid = Deno.uid() }: { readonly look?: FolderLook; readonly uid?: number | null } = {},
): MeshnetError | undefined {
  const isTrusted = (owner: number | null) => owner === 0 || owner === uid;
  const refuse = (what: string, fix: string) =>
    new MeshnetError("up/unsafe-folder", `Cannot use folder ${path} (${option}): ${what}`, { hint: fix });
  let rest = path.split("/").filter((part) => part !== "" && part !== ".");
  let at = "";
  for (let links = 0; rest.length > 0;) {
    const [part, ...below] = rest as [string, ...string[]];
    rest = below;
    if (part === "..") {
      at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      continue;
    }
    const here = `${at}/${part}`;
    const found = look.lstat(here);
    if (found === undefined) return undefined;
    if (found.isSymlink) {
      if (!isTrusted(found.uid)) {
        return refuse(
          `${here} is a link of another user (${found.uid})`,
          `Give the folder itself, or another one with ${option}`,
        );
      }
      if (++links > SYMLINK_LIMIT) {
        return refuse("its links lead in a circle", `Give another one with ${option}`);
      }
      const target = look.readLink(here);
      if (target.startsWith("/")) at = "";
      rest = [...target.split("/").filter((one) => one !== "" && one !== "."), ...rest];
      continue;
    }
    if (!found.isDirectory) return refuse(`${here} is a file`, `Give a folder with ${option}`);
    at = here;
    const isLast = rest.length === 0;
    const open = ((found.mode ?? 0) & WRITE_BY_OTHERS) !== 0;
    if (isLast && !isTrusted(found.uid)) {
      return refuse(
        `it belongs to another user (${found.uid})`,
        `chown root ${at}, or give another one with ${option}`,
      );
    }
    if (open && (isLast || ((found.mode ?? 0) & STICKY) === 0)) {
      return refuse(`everybody may write into ${at}`, `chmod o-w ${at}, or give another one with ${option}`);
    }
  }
  return undefined;
}

const SYSTEM: FolderLook = {
  lstat(path) {
    try {
      return Deno.lstatSync(path);
    } catch {
      return undefined; // whoever makes or opens it says why it cannot be used
    }
  },
  readLink: (path) => Deno.readLinkSync(path),
};
