/**
 * Stand-ins for channels that nobody here registered: they pass on what they do not understand
 * (source: spec mesh.md, section 7.6).
 */
import { good } from "../../core/brand.ts";
import { equalBytes } from "../../core/bytes.ts";
import type { PeerName } from "../../core/names.ts";
import type { GossipChannel, GossipData } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";

/** Bounds of all surrogate channels together. */
export interface SurrogateLimits {
  /** Channels; a further one takes the place of that unused for longest. */
  readonly channels: number;
  /** Gossip messages remembered as seen. While there is no room for a new one it is not passed on either: passing on
   * what nobody remembers would let it go round for ever. */
  readonly seen: number;
  /** Bytes of gossip messages remembered as seen. */
  readonly seenBytes: number;
  /** Messages that may wait for slow connections; beyond them the oldest is dropped everywhere. */
  readonly waiting: number;
  /** Bytes of messages that may wait for slow connections. */
  readonly waitingBytes: number;
}

/** What surrogates may use unless told otherwise. */
export const SURROGATE_LIMITS: SurrogateLimits = {
  channels: 64,
  seen: 4096,
  seenBytes: 8 * 1024 * 1024,
  waiting: 512,
  waitingBytes: 4 * 1024 * 1024,
};

/** A message seen is remembered for at least this long. */
const SEEN_MS = 30_000;
/** Longest name that gets a surrogate, in UTF-16 units. */
const MAX_CHANNEL_NAME = 256;

/** One message on its way; `payload` is taken away when too much is on its way. */
interface Parcel {
  payload: Uint8Array | undefined;
}

interface Seen {
  readonly key: string;
  readonly payload: Uint8Array;
  readonly at: Millis;
}

/** All surrogate channels, with the memory that they share: no remote can make it grow beyond its bounds. */
export class SurrogateChannels {
  readonly #limits: SurrogateLimits;
  /** Least recently used first. */
  readonly #channels = new Map<string, GossipChannel>();
  /** Oldest first. */
  readonly #seen = new Set<Seen>();
  readonly #seenByKey = new Map<string, Seen[]>();
  #seenBytes = 0;
  /** Oldest first; whether a parcel is still wanted by anybody is not known, so they leave by number and size. */
  readonly #parcels = new Set<Parcel>();
  #parcelBytes = 0;
  #dropped = 0;

  /** `limits` replace those of SURROGATE_LIMITS. */
  constructor(limits: Partial<SurrogateLimits>) {
    this.#limits = { ...SURROGATE_LIMITS, ...limits };
  }

  /** Messages that were not passed on, each counted for every connection it would have gone to if that was known. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The surrogate of a name. `evicted` lost its place for it: nothing of it may wait any longer. */
  channel(name: string): { readonly channel: GossipChannel; readonly evicted: string | undefined } {
    if (name.length > MAX_CHANNEL_NAME) return { channel: this.#silent(name), evicted: undefined };
    const known = this.#channels.get(name);
    let evicted: string | undefined;
    if (known !== undefined) this.#channels.delete(name);
    else if (this.#channels.size >= this.#limits.channels) {
      evicted = this.#channels.keys().next().value;
      if (evicted !== undefined) this.#channels.delete(evicted);
    }
    const channel = known ?? this.#make(name);
    this.#channels.set(name, channel);
    return { channel, evicted };
  }

  /** Forgets a surrogate because its channel was registered; false if there was none. */
  forget(name: string): boolean {
    return this.#channels.delete(name);
  }

  #make(name: string): GossipChannel {
    return {
      name,
      fullState: () => undefined,
      onGossip: (payload, now) => {
        const remembered = this.#remember(name, payload, now);
        return good(remembered === undefined ? undefined : this.#datum(remembered));
      },
      onBroadcast: (_source: PeerName, payload) => good(this.#datum(payload.slice())),
      onUnicast: () => good(undefined),
      onPeersRemoved: () => {},
    };
  }

  /** Passes nothing on, for names that are not worth remembering. */
  #silent(name: string): GossipChannel {
    const drop = () => {
      this.#dropped++;
      return good(undefined);
    };
    const onUnicast = () => good(undefined);
    return {
      name,
      fullState: () => undefined,
      onGossip: drop,
      onBroadcast: drop,
      onUnicast,
      onPeersRemoved() {},
    };
  }

  /** Remembers a payload and returns the copy; undefined when it must not be passed on. */
  #remember(channel: string, payload: Uint8Array, now: Millis): Uint8Array | undefined {
    const key = `${payload.length} ${checksum(payload)} ${channel}`;
    if (this.#seenByKey.get(key)?.some((seen) => equalBytes(seen.payload, payload))) return undefined;
    for (const oldest of this.#seen) {
      if (now - oldest.at <= SEEN_MS) break;
      this.#forgetSeen(oldest);
    }
    const size = key.length + payload.length;
    if (this.#seen.size >= this.#limits.seen || this.#seenBytes + size > this.#limits.seenBytes) {
      this.#dropped++;
      return undefined;
    }
    const entry: Seen = { key, payload: payload.slice(), at: now };
    this.#seen.add(entry);
    this.#seenBytes += size;
    this.#seenByKey.set(key, [...(this.#seenByKey.get(key) ?? []), entry]);
    return entry.payload;
  }

  #forgetSeen(entry: Seen): void {
    this.#seen.delete(entry);
    this.#seenBytes -= entry.key.length + entry.payload.length;
    const left = this.#seenByKey.get(entry.key)?.filter((each) => each !== entry) ?? [];
    if (left.length === 0) this.#seenByKey.delete(entry.key);
    else this.#seenByKey.set(entry.key, left);
  }

  /** Sends a payload on its way, which must not change any more. */
  #datum(payload: Uint8Array): GossipData {
    const parcel: Parcel = { payload };
    for (const oldest of this.#parcels) {
      const { waiting, waitingBytes } = this.#limits;
      if (this.#parcels.size < waiting && this.#parcelBytes + payload.length <= waitingBytes) break;
      this.#parcels.delete(oldest);
      this.#parcelBytes -= oldest.payload?.length ?? 0;
      oldest.payload = undefined;
    }
    this.#parcels.add(parcel);
    this.#parcelBytes += payload.length;
    return new SurrogateData([parcel], () => this.#dropped++);
  }
}

/** Messages of one surrogate channel: each goes out as its own frame. `missed` counts one that is gone by then. */
class SurrogateData implements GossipData {
  constructor(readonly parcels: readonly Parcel[], readonly missed: () => void) {}

  merge(other: GossipData): GossipData {
    const more = other instanceof SurrogateData ? other.parcels : [];
    const alive = [...this.parcels, ...more].filter(({ payload }) =>
      payload !== undefined || void this.missed()
    );
    return new SurrogateData(alive, this.missed);
  }

  *encode(): Iterable<Uint8Array> {
    for (const { payload } of this.parcels) {
      if (payload === undefined) this.missed();
      else yield payload;
    }
  }
}

/** FNV-1a, 32 bits: narrows down what has to be compared, no more. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
