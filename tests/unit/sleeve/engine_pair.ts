/** Two engines of the user-space path joined by sockets in memory, whose datagrams a test may see and change. */
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import type { PeerName, ShortId } from "../../../mod/core/names.ts";
import type { LinkId, LinkProtection } from "../../../mod/core/overlay_port.ts";
import type { Sealer } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { chooseChannel, type PathState } from "../../../mod/overlay/ports/sleeve_channel.ts";
import { SleeveEngine } from "../../../mod/sleeve/sleeve_engine.ts";
import type { LinkUse, SleeveCarrier, SleeveNews } from "../../../mod/overlay/ports/sleeve_port.ts";
import { secretboxCipher, type SleeveCiphers } from "../../../mod/sleeve/sleeve_seal.ts";
import {
  MESSAGE_DATAGRAMS,
  MESSAGE_OCTETS,
  type MessageSpan,
  type SleeveSocket,
} from "../../../mod/sleeve/sleeve_socket.ts";
import type { SleeveKey } from "../../../mod/wire/netlink/ovs_keys.ts";
import { type PeerNumber, peerNumber } from "../../../mod/wire/mesh/sleeve.ts";
import { vniOf } from "../../../mod/wire/packet/vxlan.ts";

/** A datagram under way. */
export interface Datagram {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly df: boolean;
  readonly source: Endpoint;
}

export const NAMES = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"] as PeerName[];
export const LINK = 5 as LinkId;
const SLOT = 65_536;
const SLOTS = 8;

/** A socket whose datagrams go to `sent`, and that receives what is put into `inbox`, equal ones in groups. */
export class MemorySocket implements SleeveSocket {
  readonly fd = 3;
  readonly inbox: Datagram[] = [];
  readonly sent: Datagram[] = [];
  readonly outgoing: Uint8Array<ArrayBuffer> = new Uint8Array(256 * 1024);
  readonly ring = {
    bytes: new Uint8Array(SLOTS * SLOT),
    capacity: SLOTS,
    from: new Int32Array(SLOTS),
    to: new Int32Array(SLOTS),
    size: new Int32Array(SLOTS),
  };
  refused: SleeveSocket["refused"] = () => {};
  lost = 0;
  /** DF datagrams larger than this are refused. */
  pathMtu = 65_535;
  readonly #sources: Endpoint[] = [];
  readonly #queued: { df: boolean; span: MessageSpan }[] = [];

  constructor(readonly here: Endpoint) {}

  peer(endpoint: Endpoint): { endpoint: Endpoint } {
    return { endpoint };
  }
  receive(): number {
    const { ring } = this;
    let count = 0;
    while (this.inbox.length > 0 && count < SLOTS) {
      const first = this.inbox[0]!;
      let at = ring.from[count] = count * SLOT;
      ring.size[count] = first.bytes.length;
      this.#sources[count] = first.source;
      for (let size = first.bytes.length; this.inbox.length > 0 && size === first.bytes.length;) {
        const next = this.inbox[0]!;
        size = next.bytes.length;
        const fits = at + size <= (count + 1) * SLOT && size <= first.bytes.length;
        const { ip, port } = next.source;
        if (!fits || port !== first.source.port || ip !== first.source.ip) break;
        this.inbox.shift();
        ring.bytes.set(next.bytes, at);
        at += size;
      }
      ring.to[count] = at;
      count++;
    }
    return count;
  }
  isFrom(message: number, peer: { endpoint: Endpoint }): boolean {
    const source = this.#sources[message]!;
    return source.ip === peer.endpoint.ip && source.port === peer.endpoint.port;
  }
  source(message: number): Endpoint {
    return this.#sources[message]!;
  }
  queue(_peer: { endpoint: Endpoint }, df: boolean, span: MessageSpan): void {
    const datagrams = Math.ceil((span.to - span.from) / span.size);
    if (datagrams > MESSAGE_DATAGRAMS || span.to - span.from > MESSAGE_OCTETS) {
      throw new Error("message is too long");
    }
    this.#queued.push({ df, span: { ...span } });
  }
  flush(): void {
    for (const { df, span } of this.#queued.splice(0)) {
      if (df && span.size + 28 > this.pathMtu) {
        const datagrams = Math.ceil((span.to - span.from) / span.size);
        const { pathMtu } = this;
        this.refused(span.tag, "too-big", { interfaceMtu: pathMtu, routeMtu: pathMtu, datagrams });
        continue;
      }
      for (let from = span.from; from < span.to; from += span.size) {
        const bytes = this.outgoing.slice(from, Math.min(from + span.size, span.to));
        this.sent.push({ bytes, df, source: this.here });
      }
    }
  }
  [Symbol.dispose](): void {}
}

/** A packet that an engine handed over. */
export interface Taken {
  readonly key: SleeveKey;
  readonly packet: Uint8Array<ArrayBuffer>;
}

/** One end. */
export interface End {
  readonly engine: SleeveEngine;
  readonly socket: MemorySocket;
  readonly taken: Taken[];
  readonly news: SleeveNews[];
  /** What its carrier knows of the path; may be changed. */
  readonly path: { -readonly [K in keyof PathState]: PathState[K] } & {
    maxPayload: number;
    /** What it knows of the traffic. */
    readonly use: LinkUse;
    /** Packets sent, and receptions in which the peer was heard. */
    carried: number;
    heard: number;
  };
  /** Sends a packet, virtio header first, to the other end. */
  send(packet: Uint8Array, broadcast?: boolean): void;
  flush(): void;
  drain(): void;
}

export interface PairOptions {
  readonly partial?: boolean;
  readonly protection?: LinkProtection;
  readonly sealer?: Sealer;
  readonly gcm?: SleeveCiphers["gcm"];
  readonly mtu?: number;
  /** MTU of containers at both ends; all that fits into a packet unless given. */
  readonly containerMtu?: number;
  /** NAMES unless given. */
  readonly names?: readonly PeerName[];
}

/** Short id of the peer at an index of NAMES. */
export const shortOf = (index: number) => (index + 1) as ShortId;

/** Two ends that know each other; NAMES[2] is a peer beyond. Datagrams stay in `sent` until a test moves them. */
export function enginePair(options: PairOptions = {}): [End, End] {
  return [endOf(0, options), endOf(1, options)];
}

function endOf(self: number, options: PairOptions): End {
  const { mtu = 1_400, protection = { kind: "clear" }, partial = false, sealer, names = NAMES } = options;
  const here = addressOf(self);
  const socket = new MemorySocket(here);
  const taken: Taken[] = [];
  const news: SleeveNews[] = [];
  const tell = (one: SleeveNews) => void news.push(one);
  const use = { largest: 552, asleep: true };
  const path = {
    mtu,
    fragmentsArrive: true,
    unsettled: false,
    maxPayload: mtu + 34,
    use,
    carried: 0,
    heard: 0,
  };
  const numbers = names.map(peerNumber);
  const carrier: SleeveCarrier = {
    link: LINK,
    peer: names[1 - self]!,
    outbound: self === 0,
    protection,
    extensions: { partial, gcm: options.gcm !== undefined },
    local: addressOf(self).ip,
    remote: addressOf(1 - self),
    get mtu() {
      return path.mtu;
    },
    get maxPayload() {
      return path.maxPayload;
    },
    use: path.use,
    get unsettled() {
      return path.unsettled;
    },
    carried: () => path.carried++ === 0,
    heard: () => path.heard++,
    channel: (frame) => chooseChannel(frame, path),
  };
  const engine = new SleeveEngine({
    socket,
    ciphers: {
      secretbox: (key) => secretboxCipher(sealer!, key),
      gcm: (key, outbound) => options.gcm?.(key, outbound),
    },
    self: numbers[self]!,
    directory: {
      self: shortOf(self),
      shortOfNumber: (peer) => numbers.includes(peer) ? shortOf(numbers.indexOf(peer)) : -1,
      numberOf: (short) => numbers[short - 1] ?? -1 as PeerNumber,
    },
    mtu: options.containerMtu ?? 65_535,
    take: (key, bytes, from, to) => taken.push({ key, packet: bytes.slice(from, to) }),
  });
  engine.perform({ kind: "sleeve-open", carrier }, 0 as Millis);
  const key = { link: LINK, id: vniOf(shortOf(self), shortOf(1 - self)) };
  const end: End = {
    engine,
    socket,
    taken,
    news,
    path,
    send: (packet, broadcast = false) => {
      const bytes = new Uint8Array(packet.length + 4);
      bytes.set(packet, 4);
      engine.send(key, bytes, { from: 4, to: bytes.length, broadcast });
    },
    flush: () => engine.flush(tell),
    drain: () => {
      while (engine.drain(tell, { now: 0 as Millis, isReady: () => true }));
    },
  };
  return end;
}

/** Address of an end. */
export function addressOf(index: number): Endpoint {
  return { ip: `192.0.2.${index + 1}` as Ip, port: 6_783 };
}

/** Sends what waits at `from` and lets `to` receive it. */
export function carry(from: End, to: End): void {
  from.flush();
  to.socket.inbox.push(...from.socket.sent.splice(0));
  to.drain();
}
