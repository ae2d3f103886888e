/** The gossip channel of address allocation: bytes to events and back. */
import { bad, type Decoded, good } from "../core/brand.ts";
import type { PeerName } from "../core/names.ts";
import type { GossipChannel, GossipData } from "../core/ports.ts";
import type { Millis } from "../core/time.ts";
import { decodeIpamMessage } from "../wire/ipam/ipam_message.ts";
import { decodeIpamState, encodeIpamState } from "../wire/ipam/ipam_state.ts";
import type { Allocator } from "./allocator.ts";
import type { AllocatorEffect, AllocatorEvent } from "./allocator_types.ts";

/** What the channel is called on the wire. */
export const IPAM_CHANNEL = "IPallocation";

/** The same state is left out so many times in a row, each of them about half a minute. */
const MAX_OMITTED = 20;

/** Tells states apart: 64 bits (FNV-1a, twice). */
function fingerprint(bytes: Uint8Array): string {
  let [a, b] = [0x811c9dc5, 0x1000193];
  for (const octet of bytes) {
    a = Math.imul(a ^ octet, 0x01000193);
    b = Math.imul(b ^ octet, 0x01000197);
  }
  return `${a >>> 0} ${b >>> 0} ${bytes.length}`;
}

/** What is to be done besides refusing a message, which is the channel's own affair. */
export type OutwardEffect = Exclude<AllocatorEffect, { kind: "refuse" }>;

/** Connects an allocator to gossip. The engine must not deliver anything while effects are carried out. */
export class AllocatorChannel implements GossipChannel {
  /** What it is called on the wire. */
  readonly name: string = IPAM_CHANNEL;
  readonly #allocator: Allocator;
  readonly #perform: (effects: readonly OutwardEffect[]) => void;
  readonly #refused: (reason: string) => void;
  /** Our state, as it is when it is sent: two of it that wait are one. */
  readonly data: GossipData;
  /** The same as what is sent from time to time. */
  readonly #periodic: GossipData = { merge: () => this.#periodic, encode: (to) => this.#news(to) };
  /** What neighbours were told last from time to time, and how often it was left out since. */
  readonly #told = new Map<PeerName, { readonly print: string; omitted: number }>();

  /** `perform` carries out what one step wants, in order. While `mayTell` says no, our state is kept from others: what
   * they hear of has to be on the disk. `refused` is told why what somebody said is refused. */
  constructor(
    allocator: Allocator,
    perform: (effects: readonly OutwardEffect[]) => void,
    { mayTell = () => true, refused = () => {} }: {
      readonly mayTell?: () => boolean;
      readonly refused?: (reason: string) => void;
    } = {},
  ) {
    this.#allocator = allocator;
    this.#perform = perform;
    this.#refused = refused;
    this.data = {
      merge: () => this.data,
      encode: () => mayTell() ? [encodeIpamState(allocator.state())] : [],
    };
  }

  /** The state goes out even where it says no more than that we are here; but to one neighbour the same again only now
   * and then: connections lose nothing. */
  fullState(): GossipData {
    return this.#periodic;
  }

  /** A connection that is new: its process may be another one. */
  onNeighbour(peer: PeerName): void {
    this.#told.delete(peer);
  }

  /** The state for one neighbour; nothing where that has heard it already. */
  #news(to: PeerName | undefined): Iterable<Uint8Array> {
    if (to === undefined) return this.data.encode();
    // The time in it says nothing.
    const print = fingerprint(encodeIpamState({ ...this.#allocator.state(), now: 0 }));
    const told = this.#told.get(to);
    if (told?.print === print && told.omitted < MAX_OMITTED) {
      told.omitted++;
      return [];
    }
    const payloads = [...this.data.encode()];
    if (payloads.length > 0) this.#told.set(to, { print, omitted: 0 });
    return payloads;
  }

  /** A state of some neighbour; it is not passed on. */
  onGossip(payload: Uint8Array, now: Millis): Decoded<undefined> {
    const state = decodeIpamState(payload);
    return state.ok ? this.#feed({ kind: "state", state: state.value, source: undefined }, now) : state;
  }

  /** A state that goes round: our own state is passed on in its name. */
  onBroadcast(source: PeerName, payload: Uint8Array, now: Millis): Decoded<GossipData> {
    const state = decodeIpamState(payload);
    if (!state.ok) return state;
    const taken = this.#feed({ kind: "state", state: state.value, source }, now);
    return taken.ok ? good(this.data) : taken;
  }

  /** A message for us; of types that we do not know nothing is said. */
  onUnicast(source: PeerName, payload: Uint8Array, now: Millis): Decoded<undefined> {
    const message = decodeIpamMessage(payload);
    if (!message.ok) return message;
    if (message.value === undefined) return good(undefined);
    return this.#feed({ kind: "message", message: message.value, source }, now);
  }

  /** Peers that the mesh has forgotten; when that was does not matter, and a step takes an old time for its last one. */
  onPeersRemoved(peers: readonly PeerName[]): void {
    for (const peer of peers) this.#told.delete(peer);
    this.#feed({ kind: "left", peers }, 0 as Millis);
  }

  #feed(event: AllocatorEvent, now: Millis): Decoded<undefined> {
    let refused: string | undefined;
    const outward: OutwardEffect[] = [];
    for (const effect of this.#allocator.step(event, now)) {
      if (effect.kind === "refuse") refused ??= effect.reason;
      else outward.push(effect);
    }
    this.#perform(outward);
    if (refused === undefined) return good(undefined);
    this.#refused(refused);
    return bad(refused);
  }
}
