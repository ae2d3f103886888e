/** Merging what another peer says about the ring (source: spec ipam.md, sections 2.1 and 2.6). */
import type { PeerName } from "../core/names.ts";
import { distance, type Entry, raised, spansBetween } from "./ring.ts";
import type { Offset, Span } from "./universe.ts";

/** Everything that a ring says. */
export interface RingContent {
  /** Ascending by token. */
  readonly entries: readonly Entry[];
  /** Among whom the universe was shared out at first; ascending. */
  readonly seeds: readonly PeerName[];
}

/** What a merge must know. */
export interface MergeOptions {
  /** Whose ring it is merged into. */
  readonly self: PeerName;
  /** Addresses of the universe. */
  readonly size: number;
  /** Whether all of a span is ours, and free. */
  readonly allFree: (span: Span) => boolean;
  /** Whether a peer is gone for good: what it still says it owns is not believed against us. */
  readonly isLost: (peer: PeerName) => boolean;
  /** Set while all that we know comes from the disk: others may know better what we have given away since that was
   * written. Versions of our entries, by token, as of then. */
  readonly fromDisk: ReadonlyMap<Offset, number> | undefined;
  /** An address as text, for reasons. */
  readonly textOf: (at: Offset) => string;
}

/** What a merge comes to. A refusal changes nothing but versions of our own entries. */
export type Merged =
  | { readonly kind: "merged"; readonly ring: RingContent; readonly changed: boolean }
  | { readonly kind: "different-seeds" }
  | { readonly kind: "refused"; readonly reason: string; readonly ring: RingContent };

/** Why a list of entries is no ring; undefined when it is one. */
export function ringFault(
  entries: readonly Entry[],
  { size, textOf }: Pick<MergeOptions, "size" | "textOf">,
): string | undefined {
  const tokens = entries.map(({ token }) => token);
  if (tokens.some((token, i) => i > 0 && token < tokens[i - 1]!)) return "Ring not sorted";
  if (tokens.some((token, i) => i > 0 && token === tokens[i - 1]!)) return "Token appears twice in ring";
  if (tokens.some((token) => token < 0 || token >= size)) return "Token is out of range";
  for (const [i, { token, free }] of entries.entries()) {
    const next = tokens[(i + 1) % tokens.length]!;
    const room = distance(token, next, size);
    if (free > room) {
      return `Entry ${textOf(token)}-${textOf(next)} reporting too much free space: ${free} > ${room}`;
    }
  }
  return undefined;
}

/** Whether two rings were begun by different peers, and so can never be one. */
export function seedsDiffer(a: Pick<RingContent, "seeds">, b: Pick<RingContent, "seeds">): boolean {
  return a.seeds.length > 0 && b.seeds.length > 0 && `${a.seeds}` !== `${b.seeds}`;
}

/** Merges the valid content `theirs`, of the same range, into `mine`. */
export function mergeRings(mine: RingContent, theirs: RingContent, options: MergeOptions): Merged {
  if (seedsDiffer(mine, theirs)) return { kind: "different-seeds" };
  const walk = new Walk(mine.entries, theirs.entries, options);
  const reason = walk.run() ?? walk.finish();
  if (reason !== undefined) {
    return { kind: "refused", reason, ring: { entries: walk.raisedMine, seeds: mine.seeds } };
  }
  const seeds = mine.seeds.length === 0 ? theirs.seeds : mine.seeds;
  return { kind: "merged", ring: { entries: walk.result, seeds }, changed: walk.changed };
}

/** Goes through both lists side by side. Methods return why the merge is refused. */
class Walk {
  result: Entry[] = [];
  /** Our entries, with the versions that others have made us raise. */
  readonly raisedMine: Entry[];
  changed = false;
  /** Owner of the last entry taken from our list; undefined once one of theirs came in between. */
  #previous: PeerName | undefined;

  constructor(
    readonly mine: readonly Entry[],
    readonly theirs: readonly Entry[],
    readonly options: MergeOptions,
  ) {
    this.raisedMine = [...mine];
  }

  run(): string | undefined {
    const { mine, theirs } = this;
    let [i, j] = [0, 0];
    while (i < mine.length && j < theirs.length) {
      const [ours, other] = [mine[i]!, theirs[j]!];
      let reason: string | undefined;
      if (ours.token < other.token) {
        this.#keep(ours);
        i++;
      } else if (ours.token > other.token) {
        reason = this.#unknown(other, ours.token);
        j++;
      } else {
        reason = this.#both(i, other);
        i++;
        j++;
      }
      if (reason !== undefined) return reason;
    }
    for (; i < mine.length; i++) this.#keep(mine[i]!);
    for (; j < theirs.length; j++) {
      const reason = this.#unknown(theirs[j]!, undefined);
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  /** Bounds free counts by ranges that may have got shorter, and looks the result over. A count of another owner's may be
   * older than the token behind it: it counts what that owner believed, and is no reason to believe nothing. */
  finish(): string | undefined {
    const { size } = this.options;
    this.result = this.result.map((entry, i) => {
      const room = distance(entry.token, this.result[(i + 1) % this.result.length]!.token, size);
      return entry.free > room ? { ...entry, free: room } : entry;
    });
    const fault = ringFault(this.result, this.options);
    return fault === undefined ? undefined : `Merge of incoming data causes: ${fault}`;
  }

  #keep(entry: Entry): void {
    this.result.push(entry);
    this.#previous = entry.owner;
  }

  #take(entry: Entry): undefined {
    this.result.push(entry);
    this.#previous = undefined;
    this.changed = true;
    return undefined;
  }

  /** A token that we do not know. `next`: our next one; undefined behind our last. */
  #unknown(other: Entry, next: Offset | undefined): string | undefined {
    const { fromDisk, self, isLost, textOf } = this.options;
    const inOurs = this.#previous === self && other.owner !== self;
    if (inOurs && isLost(other.owner)) return undefined; // what it says is older than its loss
    if (inOurs && fromDisk !== undefined) return this.#take(other); // nobody but we can have given it away
    if (inOurs && (next === undefined || !this.#allFree(other.token, next))) {
      return `Peer ${other.owner} says it owns the IP range from ${textOf(other.token)}, which I think I own`;
    }
    return this.#take(other);
  }

  /** A token that both know. */
  #both(i: number, other: Entry): string | undefined {
    const { fromDisk, self, isLost, textOf } = this.options;
    const ours = this.mine[i]!;
    const next = this.mine[(i + 1) % this.mine.length]!.token;
    const at = textOf(ours.token);
    const isGivenAway = ours.owner === self && other.owner !== self && !isLost(other.owner) &&
      fromDisk !== undefined && other.version > (fromDisk.get(ours.token) ?? ours.version);
    if (isGivenAway) return this.#take(other);
    if (ours.version > other.version || ours.version === other.version && ours.owner === other.owner) {
      this.#keep(ours);
      return undefined;
    }
    if (ours.owner === self && other.owner !== self && isLost(other.owner)) {
      this.changed = true; // others must hear of it
      return this.#impose(i, other);
    }
    if (ours.version === other.version) {
      if (ours.owner === self && !this.#allFree(ours.token, next)) {
        return `Inconsistent entries for ${at}: owned by ${ours.owner} but incoming message says ${other.owner}`;
      }
      return ours.free >= other.free ? void this.#keep(ours) : this.#take(other);
    }
    if (ours.owner !== self) return this.#take(other);
    if (other.owner === self) {
      const previous = this.#previous;
      this.#impose(i, other);
      this.#previous = previous;
      return undefined;
    }
    if (this.#allFree(ours.token, next)) return this.#take(other);
    return `Received update for IP range I own at ${at} v${ours.version}: ` +
      `incoming message says owner ${other.owner} v${other.version}`;
  }

  /** Keeps an entry of ours, with a version above theirs. */
  #impose(i: number, other: Entry): undefined {
    this.raisedMine[i] = { ...this.mine[i]!, version: raised(other.version, 1) };
    this.#keep(this.raisedMine[i]!);
    return undefined;
  }

  #allFree(from: Offset, to: Offset): boolean {
    return spansBetween(from, to, this.options.size).every(this.options.allFree);
  }
}
