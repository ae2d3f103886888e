/** Which owners are given up without a person: those that have been away for long while most of the others are here. */
import type { PeerName } from "../core/names.ts";
import { after, type Millis } from "../core/time.ts";

/** Who is away is looked at this often once it is time, in milliseconds: what is missing may come. */
const LOOK_MS = 60_000;

/** An owner, as far as it matters here. */
export interface OwnerPresence {
  readonly peer: PeerName;
  /** Whether it is this host, or the mesh reaches it. */
  readonly reachable: boolean;
}

/** Watches owners. A host that has just started knows nothing of how long others have been away: it counts from then. */
export class Reclaimer {
  readonly #afterMs: number;
  /** Since when each of those who are away is. */
  readonly #since = new Map<PeerName, Millis>();
  /** When to look again; Infinity while nobody is away. */
  nextLook = Infinity;

  /** Owners are given up when they have been away for `afterMs`. */
  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  /** Whom to give up now. To be called at `nextLook`, and whenever others come or go. */
  look(owners: readonly OwnerPresence[], now: Millis): readonly PeerName[] {
    const away = owners.filter(({ reachable }) => !reachable).map(({ peer }) => peer);
    for (const peer of this.#since.keys()) if (!away.includes(peer)) this.#since.delete(peer);
    for (const peer of away) if (!this.#since.has(peer)) this.#since.set(peer, now);
    const due = (peer: PeerName) => after(this.#since.get(peer)!, this.#afterMs);
    const late = away.filter((peer) => now >= due(peer));
    const waiting = away.filter((peer) => now < due(peer)).map(due);
    this.nextLook = Math.min(Infinity, ...waiting, ...late.length > 0 ? [now + LOOK_MS] : []);
    const here = owners.length - away.length;
    return 2 * here > owners.length ? late : [];
  }
}
