/** Watches over a folder, one for all who look at it, which go on when the folder is removed and made again.
 *
 * The runtime tells of a watch by the path: while anybody holds one of the old folder, none of the new one begins. Nor does
 * it tell that a folder has gone with all that was in it: only the folder above does. */

/** A part in the watch over a folder. Disposing it ends that. */
export interface FolderWatch extends Disposable {
  /** Watches anew, as the folder may be another one. All who look at it are called afterwards. */
  renew(): void;
}

/** By folder. */
const watches = new Map<string, SharedWatch>();

/** Calls when something in a folder is removed, renamed or made, and when the folder itself goes. Where that cannot be
 * watched, as the host's watches are used up, it calls never. */
export function watchOver(folder: string, changed: () => void): FolderWatch {
  const watch = watches.get(folder) ?? new SharedWatch(folder);
  watches.set(folder, watch);
  watch.lookers.add(changed);
  return {
    renew: () => watch.renew(),
    [Symbol.dispose]() {
      watch.lookers.delete(changed);
      if (watch.lookers.size > 0 || watches.get(folder) !== watch) return;
      watches.delete(folder);
      watch.close();
    },
  };
}

class SharedWatch {
  readonly lookers = new Set<() => void>();
  readonly #folder: string;
  #watcher: Deno.FsWatcher | undefined;
  #renews = false;
  #follows = false;

  constructor(folder: string) {
    this.#folder = folder;
    void this.#follow();
  }

  renew(): void {
    this.#renews = true;
    this.close();
    if (!this.#follows) void this.#follow();
  }

  close(): void {
    try {
      this.#watcher?.close();
    } catch { /* it ended by itself */ }
    this.#watcher = undefined;
  }

  /** Tells of all that happens, and begins anew when it is to: only after the old watch has ended. */
  async #follow(): Promise<void> {
    this.#follows = true;
    do {
      const isNew = this.#renews;
      this.#renews = false;
      try {
        if (isNew) this.#tell();
        for await (const event of this.#open()) if (this.#concerns(event)) this.#tell();
      } catch { /* closed, or nothing can be watched */ }
    } while (this.#renews && this.lookers.size > 0);
    this.#follows = false;
  }

  /** The folder above may be one in which much happens. Where the kernel has lost events, none of them names a path. */
  #concerns({ kind, paths }: Deno.FsEvent): boolean {
    if (kind === "access" || kind === "modify") return false;
    const name = this.#folder.slice(this.#folder.lastIndexOf("/") + 1);
    return paths.length === 0 || paths.some((path) => `${path}/`.includes(`/${name}/`));
  }

  #open(): Deno.FsWatcher {
    const above = this.#folder.slice(0, this.#folder.lastIndexOf("/")) || "/";
    // The folder itself comes last: a watch that cannot begin may leave those of the paths before it behind.
    for (const paths of [[above, this.#folder], [above]]) {
      try {
        return this.#watcher = Deno.watchFs(paths, { recursive: false });
      } catch { /* the folder has gone, or cannot be watched */ }
    }
    return this.#watcher = Deno.watchFs(this.#folder, { recursive: false });
  }

  #tell(): void {
    for (const changed of [...this.lookers]) changed();
  }
}
