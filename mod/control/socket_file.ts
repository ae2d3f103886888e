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

/** Listens at a path, in place of what is there. `firstName` is that of the file before it takes the place. Members of
 * `group` may open it, too. */
export function listenAtFile(
  path: string,
  { firstName = FIRST_CONTROL_SOCKET, group }: { readonly firstName?: string; readonly group?: number } = {},
): SocketFile {
  // Under another name first: closing a listener removes the file of its first name, whatever that is by then.
  const first = `${path.slice(0, path.lastIndexOf("/"))}/${firstName}`;
  removeQuietly(first); // a killed daemon may have left it
  const umask = Deno.umask(0o117); // the socket must not be open to all for even a moment
  let listener: Deno.UnixListener;
  try {
    listener = Deno.listen({ transport: "unix", path: first });
  } finally {
    Deno.umask(umask);
  }
  try {
    if (group !== undefined) Deno.chownSync(first, null, group);
    Deno.renameSync(first, path);
  } catch (error) {
    listener.close();
    throw error;
  }
  const made = identityOf(path);
  const isThere = () => made !== undefined && identityOf(path) === made;
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
