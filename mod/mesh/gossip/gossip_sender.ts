/** What waits for one connection, merged so that a slow one gets current data (source: spec mesh.md, section 7.3). */
import type { PeerName } from "../../core/names.ts";
import type { GossipData } from "../../core/ports.ts";
import { encodeGossipFrame, type GossipFrame } from "../../wire/mesh/mesh_message.ts";

/** Bounds of what may wait for one connection besides data that merge. */
export interface SenderLimits {
  /** Unicasts. */
  readonly unicasts: number;
  /** Bytes of unicasts; a single larger one is taken when no other waits. */
  readonly unicastBytes: number;
}

/** What a sender allows unless told otherwise. */
export const SENDER_LIMITS: SenderLimits = { unicasts: 1024, unicastBytes: 4 * 1024 * 1024 };

/**
 * The sender of one connection. For each channel at most one gossip datum waits, and for each channel and source at most
 * one broadcast datum. So what waits is bounded by what is known. Unicasts are counted and bounded. `take()` encodes data,
 * payload by payload. Gossip goes before broadcasts; unicasts and these two take turns.
 */
export class GossipSender {
  readonly #limits: SenderLimits;
  readonly #gossip = new Map<string, GossipData>();
  readonly #broadcasts = new Map<string, Map<PeerName, GossipData>>();
  readonly #unicasts: Uint8Array[] = [];
  #unicastBytes = 0;
  #unicastLast = false;
  /** The datum being sent: taken from the queues, some of its payloads still to come. */
  #sending: Sending | undefined;

  /** `self`: our name; `peer`: the neighbour at the other end. */
  constructor(readonly self: PeerName, readonly peer: PeerName, limits: Partial<SenderLimits> = {}) {
    this.#limits = { ...SENDER_LIMITS, ...limits };
  }

  /** Whether nothing waits. What waits may still turn out to be nothing when it is encoded. */
  get idle(): boolean {
    return this.#sending === undefined &&
      this.#gossip.size + this.#broadcasts.size + this.#unicasts.length === 0;
  }

  /** Queues a gossip datum, merged with the one that waits. */
  gossip(channel: string, data: GossipData): void {
    merge(this.#gossip, channel, data);
  }

  /** Queues a broadcast datum that originated at `source`, merged with the one that waits. */
  broadcast(channel: string, source: PeerName, data: GossipData): void {
    const sources = this.#broadcasts.get(channel) ?? new Map<PeerName, GossipData>();
    this.#broadcasts.set(channel, sources);
    merge(sources, source, data);
  }

  /** Queues a whole message as it is, which must not change any more; false when there is no room. */
  unicast(message: Uint8Array): boolean {
    const { unicasts, unicastBytes } = this.#limits;
    const waiting = this.#unicasts.length;
    if (waiting >= unicasts) return false;
    if (waiting > 0 && this.#unicastBytes + message.length > unicastBytes) return false;
    this.#unicasts.push(message);
    this.#unicastBytes += message.length;
    return true;
  }

  /** Drops what waits for a channel, except unicasts. */
  forget(channel: string): void {
    this.#gossip.delete(channel);
    this.#broadcasts.delete(channel);
    if (this.#sending?.frame.channel === channel) this.#sending = undefined;
  }

  /** The next message, tag included; undefined when nothing waits. */
  take(): Uint8Array | undefined {
    this.#unicastLast = !this.#unicastLast;
    return this.#unicastLast
      ? this.#takeUnicast() ?? this.#takeMerged()
      : this.#takeMerged() ?? this.#takeUnicast();
  }

  #takeUnicast(): Uint8Array | undefined {
    const message = this.#unicasts.shift();
    if (message !== undefined) this.#unicastBytes -= message.length;
    return message;
  }

  #takeMerged(): Uint8Array | undefined {
    while ((this.#sending ??= this.#next()) !== undefined) {
      const { frame, payloads } = this.#sending;
      const step = payloads.next();
      if (step.done !== true) return encodeGossipFrame({ ...frame, payload: step.value });
      this.#sending = undefined;
    }
    return undefined;
  }

  #next(): Sending | undefined {
    for (const [channel, data] of this.#gossip) {
      this.#gossip.delete(channel);
      return { frame: { tag: "gossip", channel, source: this.self }, payloads: this.#payloads(data) };
    }
    for (const [channel, sources] of this.#broadcasts) {
      for (const [source, data] of sources) {
        sources.delete(source);
        if (sources.size === 0) this.#broadcasts.delete(channel);
        return { frame: { tag: "broadcast", channel, source }, payloads: this.#payloads(data) };
      }
    }
    return undefined;
  }

  #payloads(data: GossipData): Iterator<Uint8Array> {
    return data.encode(this.peer)[Symbol.iterator]();
  }
}

/** A datum being sent: what its frames have in common, and the payloads still to come. */
interface Sending {
  readonly frame: Omit<Extract<GossipFrame, { tag: "gossip" | "broadcast" }>, "payload">;
  readonly payloads: Iterator<Uint8Array>;
}

function merge<K>(waiting: Map<K, GossipData>, key: K, data: GossipData): void {
  const before = waiting.get(key);
  waiting.set(key, before === undefined ? data : before.merge(data));
}
