/** Waiting until somebody listens at a Unix socket: the kernel tells when its folder changes, and nothing polls. */
import type { Faults } from "../core/faults.ts";
import { watchOver } from "../control/folder_watch.ts";

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
  let told: string | undefined;
  /** Whether somebody can be reached. */
  const tryNow = async () => {
    const reason = await parts.tryIt();
    parts.signal.throwIfAborted();
    if (reason !== undefined && reason !== told) parts.absent(reason);
    told = reason;
    return reason === undefined;
  };
  for (;;) {
    if (await isReachedIn(nearestFolder(path), path, tryNow, parts)) return;
  }
}

/** Whether somebody is reached while this is the nearest folder of the path. */
async function isReachedIn(
  folder: string,
  path: string,
  tryNow: () => Promise<boolean>,
  { faults, signal }: Pick<SocketWait, "faults" | "signal">,
): Promise<boolean> {
  const change = new Change();
  const note = faults.guard("watch for a socket", () => change.set());
  signal.addEventListener("abort", note, { once: true });
  using _abort = { [Symbol.dispose]: () => signal.removeEventListener("abort", note) };
  using watch = watchOver(folder, note);
  do {
    if (watch.isBlind) watch.renew();
    change.clear();
    for (const ms of [...TRIES_MS, watch.isBlind ? BLIND_MS : Infinity]) {
      if (await change.within(ms)) break;
      signal.throwIfAborted();
      if (await tryNow()) return true;
      if (nearestFolder(path) !== folder) return false; // it came before the watch began
    }
    signal.throwIfAborted();
  } while (nearestFolder(path) === folder);
  return false;
}

/** Whether something has happened, which can be waited for. */
class Change {
  #isSet = false;
  #wake = () => {};

  set(): void {
    this.#isSet = true;
    this.#wake();
  }

  clear(): void {
    this.#isSet = false;
  }

  /** Whether it happens within that time, or has happened. */
  async within(ms: number): Promise<boolean> {
    if (this.#isSet) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    return this.#isSet;
  }
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
