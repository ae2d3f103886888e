/** The file of a Unix socket: made so that only owner and group may open it, and made again when somebody removes it. */
import { FIRST_CONTROL_SOCKET } from "../core/options.ts";

/** A listener, and which file it is. */
export interface SocketFile {
  readonly listener: Deno.UnixListener;
  /** Whether the file at its path is still the one that this listener made. */
  isThere(): boolean;
  /** Removes the file, unless another one has taken its place. */
  remove(): void;
}

/** Who may open a socket: its owner, and members of its group. */
const MODE = 0o660;

/** Listens at a path, in place of what is there. Members of `group` may open it, too.
 *
 * It is made as `first`, in a folder that nobody else may enter, and moved to its place once it is known who may open it.
 * So there is no moment in which others can, and the umask of the process, which its other threads share, stays. */
export function listenAtFile(
  path: string,
  { first = FIRST_CONTROL_SOCKET, group }: { readonly first?: string; readonly group?: number } = {},
): SocketFile {
  const made = `${path.slice(0, path.lastIndexOf("/"))}/${first}`;
  const folder = made.slice(0, made.lastIndexOf("/"));
  for (const left of [made, folder]) removeQuietly(left); // of a daemon that was killed
  Deno.mkdirSync(folder, { mode: 0o700 }); // throws if one is there, which may be somebody else's
  using _folder = { [Symbol.dispose]: () => removeQuietly(folder) };
  const listener = Deno.listen({ transport: "unix", path: made });
  try {
    Deno.chmodSync(made, MODE);
    if (group !== undefined) Deno.chownSync(made, null, group);
    Deno.renameSync(made, path); // later, closing it removes the file of its first name, which is none
  } catch (error) {
    listener.close();
    throw error;
  }
  const own = identityOf(path);
  const isThere = () => own !== undefined && identityOf(path) === own;
  return {
    listener,
    isThere,
    remove() {
      if (isThere()) removeQuietly(path);
    },
  };
}

/** Throws when another program answers at a path, or something stands there that cannot make room for a socket: a folder
 * with something in it. Whatever else is there may be replaced. */
export async function checkReplaceable(path: string): Promise<void> {
  let found: Deno.FileInfo;
  try {
    found = Deno.lstatSync(path);
  } catch {
    return; // nothing is there
  }
  if (found.isDirectory) return Deno.removeSync(path); // throws unless it is empty
  if (found.isSocket !== true) return;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return; // nobody listens there any more
    throw error;
  }
  throw new Error("another program listens there");
}

/** Removes a file if it can be. */
export function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch { /* it has gone */ }
}

/** Which file is at a path; undefined: none. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev} ${ino}`;
  } catch {
    return undefined;
  }
}
