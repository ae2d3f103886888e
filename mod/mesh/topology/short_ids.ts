/** Who owns which short id (source: spec mesh.md, section 6.5). */
import { type PeerName, SHORT_IDS, type ShortId } from "../../core/names.ts";
import type { Random } from "../../core/ports.ts";

const RANDOM_TRIES = 10;

/**
 * Claims on short ids: any number of peers may claim one, the lowest-named owns it.
 *
 * `claim()` and `release()` say whether what was cached by short id has become wrong: an id that had an owner got
 * another, or one that was used before and became free is used again.
 */
export class ShortIds {
  /** Claimants of each id in use, ascending; almost always one. */
  readonly #claims = new Map<ShortId, PeerName[]>();
  readonly #usedBefore = new Uint8Array(SHORT_IDS);

  /** The owner of an id. */
  ownerOf(id: ShortId): PeerName | undefined {
    return this.#claims.get(id)?.[0];
  }

  /** All owned ids with their owners. */
  *owners(): Iterable<readonly [ShortId, PeerName]> {
    for (const [id, claimants] of this.#claims) yield [id, claimants[0]!];
  }

  /** Adds a peer's claim; true when cached mappings have to go. */
  claim(id: ShortId, peer: PeerName): boolean {
    const claimants = this.#claims.get(id);
    if (claimants === undefined) {
      this.#claims.set(id, [peer]);
      const reused = this.#usedBefore[id] === 1;
      this.#usedBefore[id] = 1;
      return reused;
    }
    const at = lowerBound(claimants, peer);
    if (claimants[at] === peer) return false;
    claimants.splice(at, 0, peer);
    return at === 0;
  }

  /** Takes a peer's claim away; true when cached mappings have to go. */
  release(id: ShortId, peer: PeerName): boolean {
    const claimants = this.#claims.get(id) ?? [];
    const at = lowerBound(claimants, peer);
    if (claimants[at] !== peer) return false;
    claimants.splice(at, 1);
    if (claimants.length === 0) this.#claims.delete(id);
    return at === 0 && claimants.length > 0;
  }

  /** A free id: by luck, else one of all that are free; undefined when there is none. */
  pick(random: Random): ShortId | undefined {
    for (let i = 0; i < RANDOM_TRIES; i++) {
      const id = random.below(SHORT_IDS) as ShortId;
      if (!this.#claims.has(id)) return id;
    }
    const free: ShortId[] = [];
    for (let id = 0; id < SHORT_IDS; id++) if (!this.#claims.has(id as ShortId)) free.push(id as ShortId);
    return free.length === 0 ? undefined : free[random.below(free.length)];
  }
}

/** Index of the first element that is not below `value`. */
function lowerBound(ascending: readonly PeerName[], value: PeerName): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
