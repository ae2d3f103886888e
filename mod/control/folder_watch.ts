/** Watches over a folder, one for all who look at it, which go on when the folder is removed and made again.
 *
 * The runtime tells of a watch by the path: while anybody holds one of the old folder, none of the new one begins. Nor does
 * it tell that a folder has gone with all that was in it: only the folder above does. */

/** A part in the watch over a folder. Disposing it ends that. */
export interface FolderWatch extends Disposable {
  /** Whether nothing is told, as the host's watches are used up, or neither the folder nor the one above is there. */
  readonly isBlind: boolean;
  /** Watches anew, as the folder may be another one. All who look at it are called first. */
  renew(): void;
}

/** By folder. One stays here until the runtime has ended its watch: only then may the next one begin. */
const watches = new Map<string, SharedWatch>();

/** Calls when something in a folder is removed, renamed or made, and when that happens to the folder itself. */
export function watchOver(folder: string, changed: () => void): FolderWatch {
  const watch = watches.get(folder) ?? new SharedWatch(folder);
  watches.set(folder, watch);
  const look = () => changed(); // its own, though somebody may look twice with the same function
  watch.join(look);
  return {
    get isBlind() {
      return !watch.follows;
    },
    renew: () => watch.renew(),
    [Symbol.dispose]: () => watch.leave(look),
  };
}

class SharedWatch {
  readonly #folder: string;
  readonly #lookers = new Set<() => void>();
  #watcher: Deno.FsWatcher | undefined;
  #renews = false;
  #follows = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether there is a watch, or the next one is about to begin. */
  get follows(): boolean {
    return this.#follows;
  }

  join(look: () => void): void {
    this.#lookers.add(look);
    if (!this.#follows) void this.#follow();
    else if (this.#watcher === undefined) this.#renews = true; // it ends, as all others have left
  }

  leave(look: () => void): void {
    this.#lookers.delete(look);
    if (this.#lookers.size > 0) return;
    this.#close();
    if (!this.#follows) this.#forget();
  }

  renew(): void {
    if (this.#lookers.size === 0) return;
    this.#renews = true;
    this.#close();
    if (!this.#follows) void this.#follow();
  }

  #close(): void {
    try {
      this.#watcher?.close();
    } catch { /* it ended by itself */ }
    this.#watcher = undefined;
  }

  #forget(): void {
    if (watches.get(this.#folder) === this) watches.delete(this.#folder);
  }

  /** Tells of all that happens, and begins anew when it is to: only after the old watch has ended. */
  async #follow(): Promise<void> {
    this.#follows = true;
    do {
      const isNew = this.#renews;
      this.#renews = false;
      try {
        if (isNew) this.#tell();
        for await (const event of this.#open()) this.#take(event);
      } catch { /* closed, or nothing can be watched */ }
      this.#watcher = undefined;
    } while (this.#renews && this.#lookers.size > 0);
    this.#follows = false;
    if (this.#lookers.size === 0) this.#forget();
  }

  /** The folder above may be one in which much happens. Where the kernel has lost events, none of them names a path. */
  #take({ kind, paths }: Deno.FsEvent): void {
    if (kind === "access" || kind === "modify") return;
    const name = this.#folder.slice(this.#folder.lastIndexOf("/") + 1);
    const isAll = name === "" || paths.length === 0;
    if (!isAll && !paths.some((path) => `${path}/`.includes(`/${name}/`))) return;
    if (isAll || !paths.some((path) => path.endsWith(`/${name}`))) return this.#tell();
    this.renew(); // the folder itself has gone or come; this tells, too
  }

  #open(): Deno.FsWatcher {
    const above = this.#folder.slice(0, this.#folder.lastIndexOf("/")) || "/";
    // The folder itself comes last: a watch that cannot begin may leave those of the paths before it behind.
    for (const paths of [[above, this.#folder], [above]]) {
      try {
        return this.#watcher = Deno.watchFs([...new Set(paths)], { recursive: false });
      } catch { /* the folder has gone, or cannot be watched */ }
    }
    return this.#watcher = Deno.watchFs(this.#folder, { recursive: false });
  }

  #tell(): void {
    for (const look of [...this.#lookers]) look();
  }
}
