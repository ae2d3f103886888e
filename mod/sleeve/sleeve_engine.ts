/** The user-space path: frames of the TAP into datagrams and back, over all links (source: spec dataplane.md section 5). */
import { assertNever } from "../core/brand.ts";
import type { LinkId } from "../core/overlay_port.ts";
import type { Millis } from "../core/time.ts";
import { ETHERNET_HEADER } from "../wire/packet/ethernet.ts";
import { isIpv6 } from "../wire/packet/inner_frame.ts";
import { LONGEST_TOO_BIG, writeFragNeeded, writePacketTooBig } from "../wire/packet/icmp_too_big.ts";
import { Ipv4Fragmenter } from "../wire/packet/inner_ipv4.ts";
import type { SleeveKey, TunnelKey } from "../wire/netlink/ovs_keys.ts";
import { FRAME_HEADER, PARTIAL_FLAG, type PeerNumber } from "../wire/mesh/sleeve.ts";
import {
  isSpecialFrame,
  type SpecialFrame,
  specialLength,
  writeSpecial,
} from "../wire/mesh/sleeve_special.ts";
import { clampMss } from "../wire/packet/tcp_mss.ts";
import { VIRTIO_HEADER, VIRTIO_NEEDS_CHECKSUM } from "../wire/packet/virtio_net.ts";
import {
  type Vni,
  vniDestination,
  vniOf,
  vniSource,
  VXLAN_HEADER,
  writeVxlan,
} from "../wire/packet/vxlan.ts";
import { LateAnswers } from "./late_answers.ts";
import { Segmenter } from "./segment.ts";
import { EngineLink } from "./sleeve_engine_link.ts";
import { Inbox, type InboxParts } from "./sleeve_inbox.ts";
import { Outbox } from "./sleeve_outbox.ts";
import {
  type PathMtus,
  type PeerDirectory,
  SLEEVE_HEADROOM,
  type SleeveCarrier,
  type SleeveCounts,
  type SleeveEffect,
  type SleeveNews,
  type SleevePort,
  type TakePacket,
} from "../overlay/ports/sleeve_port.ts";
import type { SleeveCiphers } from "./sleeve_seal.ts";
import { MESSAGE_OCTETS, type Refusal, type SleeveSocket } from "./sleeve_socket.ts";
import { TAP_PACKET } from "../overlay/ports/tap_port.ts";

/** What waits is sent as soon as it is this much: the network starts while we go on. */
const SEND_AT = 128 * 1024;
/** Receptions of one drain(). */
const RECEPTIONS = 2;
/** What is sent for no link of user space. */
const NO_LINK = -1 as LinkId;
/** News that may wait for the next flush(). */
const NEWS = 64;
/** What an engine is made of. */
export interface SleeveEngineParts {
  /** Sleeve's socket; the engine disposes of it. */
  readonly socket: SleeveSocket;
  readonly ciphers: SleeveCiphers;
  /** Our own number. */
  readonly self: PeerNumber;
  readonly directory: PeerDirectory;
  readonly take: TakePacket;
  /** MTU of containers here. */
  readonly mtu: number;
  /** Whether the TAP takes super-packets of UDP: then datagrams of a flow are handed over as one. No unless given. */
  readonly joinUdp?: boolean;
  /** Packets for us that the TAP's queue had no room for. None unless given. */
  readonly tapLost?: () => number;
}

/** See SleevePath. Nothing is allocated for a packet or a frame. */
export class SleeveEngine implements SleevePort {
  readonly fds: readonly number[];
  readonly #parts: SleeveEngineParts;
  readonly #links = new Map<LinkId, EngineLink>();
  readonly #bySender = new Map<PeerNumber, EngineLink>();
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #segmenters = new Map<Uint8Array, Segmenter>();
  readonly #fragmenter = new Ipv4Fragmenter();
  readonly #held = new LateAnswers();
  readonly #scratch = new Uint8Array(TAP_PACKET);
  readonly #answer = new Uint8Array(SLEEVE_HEADROOM + VIRTIO_HEADER + LONGEST_TOO_BIG);
  readonly #span = { bytes: this.#scratch as Uint8Array, from: 0, to: 0, longest: 0, broadcast: false };
  readonly #dropped: Record<string, number> = {};
  readonly #news: SleeveNews[] = [];
  readonly #drop = (reason: string, count = 1): void => {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + count;
  };
  #src = 0 as PeerNumber;
  #dst = 0 as PeerNumber;
  #clamped = 0;

  constructor(parts: SleeveEngineParts) {
    const { socket, self, directory, take, mtu, joinUdp = false } = parts;
    this.#parts = parts;
    this.fds = [socket.fd];
    socket.refused = (tag, why, more) => this.#refused(tag as LinkId, why, more);
    const usedUp = (link: EngineLink) => this.#usedUp(link);
    const larger = (link: EngineLink) => this.#tellOf("traffic", link.id);
    this.#outbox = new Outbox(socket, { self, drop: this.#drop, usedUp, larger });
    const linkOf = (sender: PeerNumber) => this.#bySender.get(sender);
    const answer: InboxParts["answer"] = (link, key, bytes, from, to) =>
      this.send({ link: link.id, id: answerId(key) }, bytes, { from, to, broadcast: false });
    this.#inbox = new Inbox(socket, {
      self,
      directory,
      take,
      answer,
      mtu,
      drop: this.#drop,
      linkOf,
      joinUdp,
    });
  }

  perform(effect: SleeveEffect, _now: Millis): void {
    switch (effect.kind) {
      case "sleeve-open":
        return this.#open(effect.carrier);
      case "sleeve-close":
        return this.#close(effect.link);
      case "special":
        return this.#special(effect.link, effect.df, effect.frame);
      default:
        assertNever(effect);
    }
  }

  send(
    key: SleeveKey,
    bytes: Uint8Array<ArrayBuffer>,
    packet: { from: number; to: number; broadcast: boolean },
  ): void {
    const link = this.#links.get(key.link);
    if (link === undefined) return this.#drop("no-link");
    if (!this.#name(key)) return this.#drop("unknown-peer");
    const { carrier } = link;
    if (carrier.carried()) this.#tellOf("traffic", link.id);
    const { from, to } = packet;
    if (to - from < VIRTIO_HEADER + ETHERNET_HEADER) return this.#drop("runt");
    // A container's frame that looks like one of ours would be believed to be.
    if (isSpecialFrame(bytes, from + VIRTIO_HEADER, to)) return this.#drop("reserved");
    const complete = (bytes[from]! & VIRTIO_NEEDS_CHECKSUM) === 0;
    if (clampMss(bytes, from + VIRTIO_HEADER, to, { mtu: carrier.mtu, complete })) this.#clamped++;
    const segmenter = this.#segmenterFor(bytes);
    let count = segmenter.start(from, to, !link.extended);
    const { longest } = segmenter;
    if (count > 0 && segmenter.partial && longest + 2 * FRAME_HEADER + 32 >= PARTIAL_FLAG) {
      count = segmenter.start(from, to, true); // too long to say that its checksum is partial
    }
    if (count === 0) return this.#drop("bad-packet");
    const span = this.#span;
    span.bytes = bytes;
    span.from = segmenter.frame;
    span.to = to;
    span.longest = longest;
    span.broadcast = packet.broadcast;
    const channel = carrier.channel(span);
    switch (channel) {
      case "df":
      case "plain":
        this.#outbox.direct(link, channel === "df");
        this.#frames(segmenter, segmenter.partial ? PARTIAL_FLAG : 0);
        break;
      case "fragment":
        segmenter.start(from, to, true);
        this.#outbox.direct(link, true);
        return this.#fragments(segmenter, carrier.mtu);
      case "too-big":
        segmenter.start(from, to, true);
        this.#drop("too-big");
        return this.#answerTooBig(link, key, this.#scratch, segmenter.next(this.#scratch, 0));
      case "too-big-later":
        segmenter.start(from, to, true);
        this.#drop("too-big");
        return this.#held.hold(link, key, {
          bytes: this.#scratch,
          length: segmenter.next(this.#scratch, 0),
        });
      case "drop":
        return this.#drop(link.target === undefined ? "no-address" : "too-big");
      default:
        assertNever(channel);
    }
    if (this.#outbox.waiting >= SEND_AT) this.#outbox.flush();
  }

  sendTunnelled(frame: Uint8Array, { tunnel, udpPort }: { tunnel: TunnelKey; udpPort: number }): void {
    const { socket } = this.#parts;
    const size = VXLAN_HEADER + frame.length;
    const peer = socket.peer({ ip: tunnel.dst, port: udpPort }, tunnel.src, { fixed: true });
    if (peer === undefined || size > MESSAGE_OCTETS) return;
    this.#outbox.flush(); // the socket's buffer is free then
    writeVxlan(socket.outgoing, 0, tunnel.id);
    socket.outgoing.set(frame, VXLAN_HEADER);
    socket.queue(peer, true, { from: 0, to: size, size, tag: NO_LINK });
    socket.flush();
  }

  drain(
    tell: (news: SleeveNews) => void,
    at: { readonly now: Millis; isReady(index: number): boolean },
  ): boolean {
    if (!at.isReady(0)) return false;
    for (let i = 0; i < RECEPTIONS; i++) if (!this.#inbox.drain(tell, at.now)) return false;
    return true;
  }

  flush(tell: (news: SleeveNews) => void): void {
    this.#outbox.flush();
    if (this.#held.size > 0) this.#answerHeld();
    if (this.#news.length > 0) this.#news.splice(0).forEach(tell);
  }

  counts(): SleeveCounts {
    const { packets, octets } = this.#outbox;
    const { socket: { lost }, tapLost = () => 0 } = this.#parts;
    const full = { "receive-buffer-full": lost, "tap-queue-full": tapLost() };
    return {
      sentPackets: packets,
      sentBytes: octets,
      receivedPackets: this.#inbox.packets,
      receivedBytes: this.#inbox.octets,
      dropped: {
        ...this.#dropped,
        ...Object.fromEntries(Object.entries(full).filter(([, count]) => count > 0)),
      },
    };
  }

  /** TCP handshakes whose segment size was made to fit. */
  get clamped(): number {
    return this.#clamped;
  }

  [Symbol.dispose](): void {
    this.#links.clear();
    this.#bySender.clear();
    this.#parts.socket[Symbol.dispose]();
  }

  #open(carrier: SleeveCarrier): void {
    const { socket, ciphers } = this.#parts;
    const link = new EngineLink(carrier, socket, ciphers);
    this.#links.set(link.id, link);
    this.#bySender.set(link.peer, link);
  }

  #close(id: LinkId): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#outbox.flush(); // what it has is still its own
    this.#links.delete(id);
    if (this.#bySender.get(link.peer) !== link) return;
    this.#bySender.delete(link.peer);
    for (const other of this.#links.values()) {
      if (other.peer === link.peer) this.#bySender.set(link.peer, other);
    }
  }

  /** Goes alone: others in the same datagram would change what it proves. */
  #special(id: LinkId, df: boolean, frame: SpecialFrame): void {
    const link = this.#links.get(id);
    if (link === undefined) return this.#drop("no-link");
    this.#outbox.direct(link, df);
    this.#outbox.sealAlone();
    const { use } = link;
    const { largest } = use;
    use.largest = Infinity; // this is no traffic
    const at = this.#outbox.reserve(this.#parts.self, link.peer, specialLength(frame), 0);
    if (at < 0) this.#drop("too-long");
    else {
      writeSpecial(this.#outbox.bytes, at, frame);
      this.#outbox.sealAlone();
    }
    use.largest = largest;
  }

  /** Looks up the peers of a key; false when one of them is not known. */
  #name(key: SleeveKey): boolean {
    const { directory } = this.#parts;
    const src = directory.numberOf(vniSource(key.id));
    const dst = directory.numberOf(vniDestination(key.id));
    this.#src = src as PeerNumber;
    this.#dst = dst as PeerNumber;
    return src >= 0 && dst >= 0;
  }

  /** Packets come from the few buffers of the TAP and of our own. */
  #segmenterFor(bytes: Uint8Array<ArrayBuffer>): Segmenter {
    let segmenter = this.#segmenters.get(bytes);
    if (segmenter !== undefined) return segmenter;
    if (this.#segmenters.size === 16) this.#segmenters.clear();
    this.#segmenters.set(bytes, segmenter = new Segmenter(bytes));
    return segmenter;
  }

  #frames(segmenter: Segmenter, flag: number): void {
    const outbox = this.#outbox;
    for (let length; (length = segmenter.nextLength) > 0;) {
      const at = outbox.reserve(this.#src, this.#dst, length, flag);
      if (at < 0) return this.#drop("too-long");
      segmenter.next(outbox.bytes, at);
    }
  }

  #fragments(segmenter: Segmenter, mtu: number): void {
    const scratch = this.#scratch;
    for (let length; (length = segmenter.next(scratch, 0)) > 0;) {
      if (!this.#fragmenter.start(scratch, 0, length, mtu)) this.#drop("bad-packet");
      else {
        for (let piece; (piece = this.#fragmenter.nextLength) > 0;) {
          const at = this.#outbox.reserve(this.#src, this.#dst, piece, 0);
          if (at < 0) return this.#drop("too-long");
          this.#fragmenter.next(this.#outbox.bytes, at);
        }
      }
    }
  }

  /** Those that fit by now need no answer: their senders send them again. */
  #answerHeld(): void {
    for (const { link, key, frame } of this.#held.take()) {
      const fits = frame.length <= link.carrier.mtu + ETHERNET_HEADER;
      if (!fits && this.#links.get(link.id) === link) this.#answerTooBig(link, key, frame, frame.length);
    }
  }

  /** The packet's destination tells its sender so, or seems to. */
  #answerTooBig(link: EngineLink, key: SleeveKey, frame: Uint8Array, length: number): void {
    const at = SLEEVE_HEADROOM + VIRTIO_HEADER;
    const answer = { mtu: link.carrier.mtu, out: this.#answer, at };
    const write = isIpv6(frame, 0, length) ? writePacketTooBig : writeFragNeeded;
    const written = write(frame, 0, length, answer);
    if (written === 0) return;
    this.#answer.fill(0, 0, at);
    this.#parts.take(link.key(answerId(key)), this.#answer, SLEEVE_HEADROOM, at + written);
  }

  #usedUp(link: EngineLink): void {
    if (!link.usedUpTold && this.#tellOf("key-used-up", link.id)) link.usedUpTold = true;
  }

  /** False: too much news waits. A train of packets makes one piece of news. */
  #tellOf(kind: "traffic" | "key-used-up", link: LinkId): boolean {
    const last = this.#news.at(-1);
    if (last?.kind === kind && last.link === link) return true;
    if (this.#news.length === NEWS) return false;
    this.#news.push({ kind, link });
    return true;
  }

  #refused(id: LinkId, why: Refusal, more: PathMtus & { readonly datagrams: number }): void {
    if (id === NO_LINK) return; // its peer misses it
    const { datagrams, interfaceMtu, routeMtu } = more;
    this.#drop(why === "too-big" ? "path-too-small" : why === "full" ? "send-buffer-full" : why, datagrams);
    if (why !== "too-big" || interfaceMtu <= 0 || this.#news.length === NEWS) return;
    this.#news.push({ kind: "too-big", link: id, interfaceMtu, routeMtu });
  }
}

/** From whom and for whom an answer is to a packet that bears this key. */
function answerId({ id }: SleeveKey): Vni {
  return vniOf(vniDestination(id), vniSource(id));
}
