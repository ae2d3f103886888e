/** Datagrams into packets for the TAP: whose they are, whether they are genuine, which frames are in them. */
import type { Endpoint } from "../core/addr.ts";
import type { ShortId } from "../core/names.ts";
import type { Millis } from "../core/time.ts";
import type { SleeveKey } from "../wire/netlink/ovs_keys.ts";
import { FrameReader, type PeerNumber, PLAIN_FRAMES, SEALED_FRAMES, senderOf } from "../wire/mesh/sleeve.ts";
import { decodeSpecial, isSpecialFrame } from "../wire/mesh/sleeve_special.ts";
import { vniOf } from "../wire/packet/vxlan.ts";
import { type Deliver, type FrameChecksum, Joiner } from "./join.ts";
import { LocalFit } from "./local_fit.ts";
import type { EngineLink } from "./sleeve_engine_link.ts";
import {
  type PeerDirectory,
  type SleeveNews,
  type TakePacket,
  TOO_LARGE_HERE,
} from "../overlay/ports/sleeve_port.ts";
import type { SleeveSocket } from "./sleeve_socket.ts";

/** What an inbox is made of. */
export interface InboxParts {
  readonly self: PeerNumber;
  readonly directory: PeerDirectory;
  readonly take: TakePacket;
  /** Sends a packet back over a link to whoever sent what bears this key. */
  readonly answer: (link: EngineLink, key: SleeveKey, ...packet: Parameters<Deliver>) => void;
  /** MTU of containers here. */
  readonly mtu: number;
  readonly drop: (reason: string, count?: number) => void;
  /** The link over which a peer is our neighbour. */
  readonly linkOf: (sender: PeerNumber) => EngineLink | undefined;
  /** Whether the TAP takes super-packets of UDP. */
  readonly joinUdp: boolean;
}

/** Shortest frame: an Ethernet header. */
const SHORTEST = 14;

/** Takes what a socket has received. */
export class Inbox {
  /** Datagrams that came, and their octets; see Outbox. */
  readonly #received = new Float64Array(2);
  readonly #socket: SleeveSocket;
  readonly #parts: InboxParts;
  readonly #reader = new FrameReader();
  readonly #joiner: Joiner;
  readonly #fit: LocalFit;
  #tell: (news: SleeveNews) => void = () => {};
  #now = 0 as Millis;
  /** The link last told that its peer was heard, in this reception. */
  #heardOf: EngineLink | undefined;
  /** The link of the last sender. */
  #sender: PeerNumber | -1 = -1;
  #link: EngineLink | undefined;
  /** Whether the current message came from the address of #link: unknown, no, yes. */
  #fromRemote: boolean | undefined;
  /** Identity of the last frame, and of what is being joined. */
  #src = -1 as PeerNumber | -1;
  #dst = -1 as PeerNumber | -1;
  #key: SleeveKey | undefined;
  #joining: SleeveKey | undefined;

  constructor(socket: SleeveSocket, parts: InboxParts) {
    this.#socket = socket;
    this.#parts = parts;
    this.#joiner = new Joiner(socket.ring.bytes, (bytes, from, to) => {
      parts.take(this.#joining!, bytes, from, to);
    }, parts.joinUdp);
    const { mtu, self } = parts;
    this.#fit = new LocalFit({
      ...{ mtu, self },
      deliver: (...packet) => parts.take(this.#key!, ...packet),
      answer: (...packet) => parts.answer(this.#link!, this.#key!, ...packet),
      drop: () => parts.drop(TOO_LARGE_HERE),
    });
  }

  /** Datagrams that came. */
  get packets(): number {
    return this.#received[0]!;
  }

  /** Their octets. */
  get octets(): number {
    return this.#received[1]!;
  }

  /** Receives once; true when there may be more. */
  drain(tell: (news: SleeveNews) => void, now: Millis): boolean {
    const socket = this.#socket;
    const { ring } = socket;
    const count = socket.receive();
    if (count === 0) return false;
    this.#tell = tell;
    this.#now = now;
    this.#heardOf = undefined;
    this.#sender = this.#src = -1; // links and names may be others than last time
    for (let message = 0; message < count; message++) {
      this.#fromRemote = undefined;
      const end = ring.to[message]!;
      const size = ring.size[message]!;
      let from = ring.from[message]!;
      this.#received[1]! += end - from;
      do {
        const to = Math.min(from + size, end);
        this.#received[0]!++;
        this.#datagram(message, from, to);
        from = to;
      } while (from < end);
    }
    this.#joiner.flush();
    this.#joining = undefined;
    return count === ring.capacity;
  }

  #datagram(message: number, from: number, to: number): void {
    const { bytes } = this.#socket.ring;
    const { drop } = this.#parts;
    const sender = senderOf(bytes, from, to);
    if (sender < 0) return drop("short");
    if (sender !== this.#sender) this.#turnTo(sender as PeerNumber);
    const link = this.#link;
    if (link === undefined) return drop("unknown-sender");
    const { sealed } = link;
    if (sealed === undefined) {
      const fromRemote = this.#fromRemote ??= this.#isFromRemote(message, link);
      return this.#frames(link, message, { from: from + PLAIN_FRAMES, to, trusted: fromRemote });
    }
    const opening = sealed.open(bytes, from, to);
    if (opening !== "open") return drop(opening);
    this.#frames(link, message, { from: from + SEALED_FRAMES, to, trusted: true });
  }

  #turnTo(sender: PeerNumber): void {
    this.#sender = sender;
    this.#link = this.#parts.linkOf(sender);
    this.#fromRemote = undefined;
    this.#src = -1;
  }

  #isFromRemote(message: number, link: EngineLink): boolean {
    const { target } = link;
    return target !== undefined && this.#socket.isFrom(message, target);
  }

  /** `trusted`: sealed, or from the link's own address. */
  #frames(
    link: EngineLink,
    message: number,
    packet: { readonly from: number; readonly to: number; readonly trusted: boolean },
  ): void {
    const { bytes } = this.#socket.ring;
    const { drop } = this.#parts;
    if (packet.trusted && link !== this.#heardOf) {
      this.#heardOf = link;
      link.carrier.heard(this.#now);
    }
    const reader = this.#reader;
    reader.start(bytes, packet.from, packet.to, link.extended);
    while (reader.next()) {
      const { from, to } = reader;
      if (to - from < SHORTEST) drop("runt");
      else if (isSpecialFrame(bytes, from, to)) this.#special(link, this.#socket.source(message));
      else if (!packet.trusted) drop("wrong-address");
      else this.#frame(link, from, to);
    }
    if (reader.failure !== undefined) drop("undecodable");
  }

  #frame(link: EngineLink, from: number, to: number): void {
    const { src, dst, partial } = this.#reader;
    if (src !== this.#src || dst !== this.#dst) this.#identify(link, src, dst);
    const key = this.#key;
    if (key === undefined) return this.#parts.drop("unknown-peer");
    if (dst === this.#parts.self && !this.#fit.takes(this.#socket.ring.bytes, from, to)) {
      this.#joiner.flush();
      return this.#fit.fit(this.#socket.ring.bytes, from, to, partial);
    }
    if (key !== this.#joining) {
      this.#joiner.flush();
      this.#joining = key;
    }
    const checksum: FrameChecksum = partial ? "partial" : link.sealed === undefined ? "unknown" : "sealed";
    this.#joiner.push(from, to, checksum);
  }

  #identify(link: EngineLink, src: PeerNumber, dst: PeerNumber): void {
    const { directory } = this.#parts;
    const from = directory.shortOfNumber(src);
    const to = directory.shortOfNumber(dst);
    this.#src = src;
    this.#dst = dst;
    this.#key = from < 0 || to < 0 ? undefined : link.key(vniOf(from as ShortId, to as ShortId));
  }

  #special(link: EngineLink, source: Endpoint | undefined): void {
    const { drop, self } = this.#parts;
    const { src, dst, from, to } = this.#reader;
    if (src !== link.peer || dst !== self || source === undefined) return drop("misaddressed");
    const frame = decodeSpecial(this.#socket.ring.bytes, from, to);
    if (!frame.ok) return drop("undecodable");
    this.#tell({ kind: "special", link: link.id, frame: frame.value, source });
  }
}
