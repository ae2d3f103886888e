/** What each neighbour is known to have, so that it is not told again. */
import type { PeerName } from "../../core/names.ts";

/** The state of a peer's record here: see Topology.mark(). */
export interface RecordMark {
  /** Small number that no other known peer has. */
  readonly slot: number;
  /** Grows with every change of any record, so never means two states. */
  readonly stamp: number;
}

/**
 * For each neighbour: which records it has in the same state as we do, because one of us sent that state to the other over a
 * connection that loses nothing. Kept as the stamp of the state; eight bytes for each neighbour and record.
 */
export class KnownStates {
  readonly #neighbours = new Map<PeerName, Float64Array<ArrayBuffer>>();

  /** Whether the neighbour has the record as we have it now. */
  has(neighbour: PeerName, mark: RecordMark): boolean {
    return this.#neighbours.get(neighbour)?.[mark.slot] === mark.stamp;
  }

  /** The neighbour has the record as we have it now. */
  add(neighbour: PeerName, mark: RecordMark): void {
    let stamps = this.#neighbours.get(neighbour);
    if (stamps === undefined || mark.slot >= stamps.length) {
      const grown = new Float64Array(Math.ceil((mark.slot + 1) / 64) * 64);
      grown.set(stamps ?? []);
      this.#neighbours.set(neighbour, stamps = grown);
    }
    stamps[mark.slot] = mark.stamp;
  }

  /** The neighbour has another state of the record than we. */
  remove(neighbour: PeerName, mark: RecordMark): void {
    const stamps = this.#neighbours.get(neighbour);
    if (stamps !== undefined && mark.slot < stamps.length) stamps[mark.slot] = 0;
  }

  /** Nothing is known of the neighbour any more. */
  forget(neighbour: PeerName): void {
    this.#neighbours.delete(neighbour);
  }
}
