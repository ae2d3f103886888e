/** The file of a Unix socket: made so that only owner and group may open it, and made again when somebody removes it. */

/** Not longer than the name of the control socket: paths of sockets have 107 bytes at most. */
const FIRST_NAME = "control.new";

/** A listener, and which file it is. */
export interface SocketFile {
  readonly listener: Deno.UnixListener;
  /** Whether the file at its path is still the one that this listener made. */
  isThere(): boolean;
  /** Whether nothing is at its path. */
  isGone(): boolean;
  /** Removes the file, unless another one has taken its place. */
  remove(): void;
}

/** Listens at a path, in place of what is there. */
export function listenAtFile(path: string): SocketFile {
  // Under another name first: closing a listener removes the file of its first name, whatever that is by then.
  const first = `${path.slice(0, path.lastIndexOf("/"))}/${FIRST_NAME}`;
  removeQuietly(first); // a killed daemon may have left it
  const umask = Deno.umask(0o117); // the socket must not be open to all for even a moment
  let listener: Deno.UnixListener;
  try {
    listener = Deno.listen({ transport: "unix", path: first });
  } finally {
    Deno.umask(umask);
  }
  Deno.renameSync(first, path);
  const made = identityOf(path);
  const isThere = () => made !== undefined && identityOf(path) === made;
  return {
    listener,
    isThere,
    isGone: () => identityOf(path) === undefined,
    remove() {
      if (isThere()) removeQuietly(path);
    },
  };
}

/** Removes a file if it can be. */
export function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch { /* it has gone */ }
}

/** Calls when something in a folder is removed, renamed or made, and when the folder itself goes; undefined where that
 * cannot be watched. Watching ends with the folder. */
export function watchFolder(folder: string, changed: () => void): Deno.FsWatcher | undefined {
  try {
    const watcher = Deno.watchFs(folder, { recursive: false });
    void (async () => {
      for await (const { kind } of watcher) if (kind !== "access" && kind !== "modify") changed();
    })().catch(() => {}); // closed
    return watcher;
  } catch {
    return undefined; // the host's watches are used up
  }
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
