/** Waiting until somebody listens at a Unix socket: the kernel tells when its folder changes, and nothing polls. */
import type { Faults } from "../core/faults.ts";
import { watchFolder } from "../control/socket_file.ts";

/** Tries after a change, in milliseconds: whoever makes a socket begins to listen a little later, and a change of the
 * folder's first moments may not be told. All within the time after which memory of the start is given back. */
const TRIES_MS = [0, 50, 250, 1_000, 2_000] as const;
/** Where the kernel cannot watch, time between two tries, in milliseconds. */
const BLIND_MS = 30_000;

/** What is needed to wait. */
export interface SocketWait {
  readonly signal: AbortSignal;
  /** Why nobody can be reached; undefined: somebody can. */
  readonly tryIt: () => Promise<string | undefined>;
  /** Told why, whenever the reason is another one. */
  readonly absent: (reason: string) => void;
  readonly faults: Pick<Faults, "guard">;
}

/** Returns when somebody can be reached at `path`. Throws the signal's reason. */
export async function untilReachable(path: string, parts: SocketWait): Promise<void> {
  const { absent, signal, tryIt } = parts;
  let told: string | undefined;
  for (;;) {
    using change = watchFor(path, parts);
    for (const ms of [...TRIES_MS, change.isBlind ? BLIND_MS : Infinity]) {
      if (await change.within(ms)) break;
      signal.throwIfAborted();
      const reason = await tryIt();
      signal.throwIfAborted();
      if (reason === undefined) return;
      if (reason !== told) absent(reason);
      told = reason;
    }
    signal.throwIfAborted();
  }
}

interface Change extends Disposable {
  /** Whether nothing can be watched. */
  readonly isBlind: boolean;
  /** Whether the folder changes, or the signal aborts, within that time. */
  within(ms: number): Promise<boolean>;
}

/** Watches the nearest folder of a path that there is. */
function watchFor(path: string, { faults, signal }: Pick<SocketWait, "faults" | "signal">): Change {
  let changed = false;
  let wake = () => {};
  const note = faults.guard("watch for a socket", () => {
    changed = true;
    wake();
  });
  const watcher = watchFolder(nearestFolder(path), note);
  signal.addEventListener("abort", note, { once: true });
  const close = faults.guard("watch for a socket", () => watcher?.close());
  return {
    isBlind: watcher === undefined,
    async within(ms) {
      if (changed || signal.aborted) return true;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
      await promise;
      clearTimeout(timer);
      return changed;
    },
    [Symbol.dispose]() {
      signal.removeEventListener("abort", note);
      close();
    },
  };
}

/** The real path of the nearest folder above: links are followed, so that a folder behind one is watched, too. */
function nearestFolder(path: string): string {
  for (let folder = path;;) {
    folder = folder.slice(0, Math.max(1, folder.lastIndexOf("/")));
    try {
      return Deno.realPathSync(folder);
    } catch {
      if (folder === "/") return "/";
    }
  }
}
