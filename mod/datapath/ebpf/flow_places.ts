/** Where the kernel has our flows: their keys by id, in one block of memory. Pure. */
import type { Ufid } from "../../wire/netlink/ovs_keys.ts";
import { KEY } from "./layout.ts";

/** Keys at first; the block doubles. */
const FIRST = 256;

/** What is kept of a flow. */
export interface FlowPlace {
  /** Its key: a view, valid until the next call. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** Elements of `groups` that it has. */
  readonly chunks: number;
}

/** The table. */
export class FlowPlaces {
  readonly #slots = new Map<Ufid, number>();
  readonly #free: number[] = [];
  #keys = new Uint8Array(new ArrayBuffer(FIRST * KEY.size));
  #chunks = new Uint8Array(FIRST);
  #next = 0;
  #groups = 0;

  /** How many there are. */
  get size(): number {
    return this.#slots.size;
  }

  /** How many elements of `groups` all of them have. */
  get groups(): number {
    return this.#groups;
  }

  /** Remembers a flow, or how many elements of `groups` it has now. */
  set(ufid: Ufid, key: Uint8Array, chunks: number): void {
    const known = this.#slots.get(ufid);
    const slot = known ?? this.#free.pop() ?? this.#next++;
    if (slot === this.#chunks.length) this.#grow();
    this.#slots.set(ufid, slot);
    this.#keys.set(key, slot * KEY.size);
    this.#groups += chunks - (known === undefined ? 0 : this.#chunks[slot]!);
    this.#chunks[slot] = chunks;
  }

  /** What is known of a flow. */
  get(ufid: Ufid): FlowPlace | undefined {
    const slot = this.#slots.get(ufid);
    if (slot === undefined) return undefined;
    const at = slot * KEY.size;
    return { key: this.#keys.subarray(at, at + KEY.size), chunks: this.#chunks[slot]! };
  }

  /** Forgets a flow. */
  delete(ufid: Ufid): void {
    const slot = this.#slots.get(ufid);
    if (slot === undefined) return;
    this.#slots.delete(ufid);
    this.#groups -= this.#chunks[slot]!;
    this.#free.push(slot);
  }

  #grow(): void {
    const keys = new Uint8Array(new ArrayBuffer(this.#keys.length * 2));
    keys.set(this.#keys);
    this.#keys = keys;
    const chunks = new Uint8Array(this.#chunks.length * 2);
    chunks.set(this.#chunks);
    this.#chunks = chunks;
  }
}
