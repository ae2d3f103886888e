/** Joins consecutive TCP segments, and UDP datagrams of a flow, into super-packets for a TAP: the reverse of segment.ts, and nothing that it could not
 * undo octet by octet. */
import { finishSum, foldSum, sumWords } from "../core/checksum.ts";
import { ETHERNET_HEADER } from "../wire/packet/ethernet.ts";
import { IPV6_HEADER, LARGEST_PACKET, putU16, u16At } from "../wire/packet/inner_frame.ts";
import { IP_PROTOCOL, TCP_FLAG, TransportLayout } from "../wire/packet/transport.ts";
import {
  emptyVirtio,
  VIRTIO_GSO,
  VIRTIO_GSO_ECN,
  VIRTIO_HEADER,
  VIRTIO_NEEDS_CHECKSUM,
  writeVirtio,
} from "../wire/packet/virtio_net.ts";
import { SLEEVE_HEADROOM } from "../overlay/ports/sleeve_port.ts";

/** Where a joined packet starts. The taker may write something in front of it, as in front of single frames. */
const START = SLEEVE_HEADROOM;
/** Where its frame starts. */
const FRAME = START + VIRTIO_HEADER;
/** Room for the largest, with header, Ethernet header and two tags. */
const ROOM = FRAME + ETHERNET_HEADER + 8 + IPV6_HEADER + LARGEST_PACKET;
/** With these, or without ACK, a segment stays alone. */
const ALONE = TCP_FLAG.syn | TCP_FLAG.rst | TCP_FLAG.urg;
/** A segment with one of these is the last. */
const LAST_ONLY = TCP_FLAG.fin | TCP_FLAG.psh;
/** Where a TCP header has its urgent pointer, and its end if it has no options. */
const TCP_URGENT = 18;
const TCP_HEADER = 20;
/** What must be equal of a TCP header's fourth word: all but flags. */
const OFFSET_AND_WINDOW = 0xff00_ffff | 0;
/** Octets of the longest headers that are compared: with longer ones, which nobody needs, frames stay alone. */
const LONGEST_HEADERS = 512;
/** Datagrams of a super-packet: what kernels take in the other direction. */
const MOST_DATAGRAMS = 64;

/** What is known of a frame's transport checksum. */
export type FrameChecksum =
  /** Nothing: it is checked before the frame is joined with others. */
  | "unknown"
  /** It is right, or was wrong at its origin already: a seal vouches for the frame. */
  | "sealed"
  /** It is partial: the pseudo header's sum in the outermost TCP or UDP header, which a seal vouches for. */
  | "partial";

/** Takes a packet for the TAP in `[from, to)`, virtio header first; it is gone after the call. */
export type Deliver = (bytes: Uint8Array<ArrayBuffer>, from: number, to: number) => void;

/**
 * Takes frames one by one and delivers them, joined where they follow one another. The order never changes. One flow is
 * joined at a time, as a sender that cuts super-packets sends their segments in a row.
 */
export class Joiner {
  readonly #view: DataView;
  readonly #joined = new Uint8Array(ROOM);
  readonly #joinedView = new DataView(this.#joined.buffer);
  readonly #first = new TransportLayout();
  readonly #lone = new TransportLayout();
  readonly #header = emptyVirtio();
  /** Segments held back; the first stays in the input until there is a second. */
  #count = 0;
  #firstAt = 0;
  #size = 0;
  #checksum: FrameChecksum = "unknown";
  #pseudo = 0;
  /** Where headers must be equal, from a frame's start: words of 32 bits, of which some overlap. */
  readonly #equal = new Int32Array(LONGEST_HEADERS / 4);
  #equalCount = 0;
  /** Sum of the IPv4 header without what differs from frame to frame: length, identification, checksum. */
  #ipSum = 0;
  #nextSeq = 0;
  #nextId = 0;
  #flags = 0;
  #end = 0;

  /**
   * `input` is the buffer in which frames are pushed. The ten octets in front of each are overwritten: they once held
   * what surrounds a frame on its way. Call flush() before the input is used again. `joinsUdp`: the TAP takes super-packets of UDP (Linux 6.2).
   */
  constructor(
    readonly input: Uint8Array<ArrayBuffer>,
    readonly deliver: Deliver,
    readonly joinsUdp: boolean = false,
  ) {
    this.#view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  }

  /** Takes the frame in `[from, to)` of the input; `from` is at least VIRTIO_HEADER. Runts are dropped. */
  push(from: number, to: number, checksum: FrameChecksum): void {
    if (to - from < ETHERNET_HEADER) return;
    if (this.#count > 0) {
      if (this.#follows(from, to, checksum)) return this.#append(from, to);
      this.flush();
    }
    if (this.#begins(from, to, checksum)) {
      this.#count = 1;
      this.#firstAt = from;
      this.#end = to;
    } else this.#alone(from, to, checksum);
  }

  /** Delivers what is held back. */
  flush(): void {
    const count = this.#count;
    this.#count = 0;
    if (count === 1) this.#alone(this.#firstAt, this.#end, this.#checksum);
    if (count > 1) this.#finish();
  }

  /** Whether others may be joined to this frame; remembers what they must be like. */
  #begins(from: number, to: number, checksum: FrameChecksum): boolean {
    const { input } = this;
    const first = this.#first;
    if (!first.locate(input, from, to)) return false;
    const tcp = from + first.transport;
    const size = to - from - first.payload;
    const isTcp = first.protocol === IP_PROTOCOL.tcp;
    const flags = isTcp ? input[tcp + 13]! : 0;
    if (!isTcp) {
      if (!this.joinsUdp || size === 0 || !this.#isUdp(from, to, checksum)) return false;
    } else if (size === 0 || (flags & (ALONE | LAST_ONLY)) !== 0 || (flags & TCP_FLAG.ack) === 0) {
      return false;
    }
    if (first.payload > LONGEST_HEADERS) return false;
    this.#pseudo = first.pseudoSum(this.#view, from);
    if (!first.ipv6 && foldSum(sumWords(this.#view, from + first.ip, tcp)) !== 0xffff) return false;
    if (checksum === "unknown" && !this.#isWholeIntact(from, to)) return false;
    this.#equalCount = 0;
    this.#size = size;
    this.#checksum = checksum;
    this.#flags = flags;
    if (isTcp) this.#nextSeq = this.#view.getUint32(tcp + 4) + size >>> 0;
    this.#nextId = u16At(input, from + first.ip + 4) + 1 & 0xffff;
    return true;
  }

  #follows(from: number, to: number, checksum: FrameChecksum): boolean {
    const { input } = this;
    const { ip, ipv6, transport, payload } = this.#first;
    const length = to - from;
    const size = length - payload;
    const l3 = from + ip;
    const tcp = from + transport;
    if (size <= 0 || size > this.#size || checksum !== this.#checksum) return false;
    const inFront = ipv6 ? ip + IPV6_HEADER : ip;
    if (this.#joinedLength() + size - inFront > LARGEST_PACKET) return false;
    const isTcp = this.#first.protocol === IP_PROTOCOL.tcp;
    if (isTcp ? this.#view.getUint32(tcp + 4) !== this.#nextSeq : !this.#isUdp(from, to, checksum)) {
      return false;
    }
    if (ipv6 ? u16At(input, l3 + 4) !== length - inFront : u16At(input, l3 + 2) !== length - ip) return false;
    if (!ipv6 && u16At(input, l3 + 4) !== this.#nextId) return false;
    if (isTcp && (input[tcp + 13]! & ~LAST_ONLY) !== (this.#flags & ~TCP_FLAG.cwr)) return false;
    return this.#sameHeaders(from) && this.#isIntact(from, to, checksum);
  }

  /** Notes where frames must be equal: addresses, tags, options, ports, acknowledgement. */
  #noteEqual(): void {
    const { ip, ipv6, transport, payload, protocol } = this.#first;
    if (ipv6) {
      this.#addEqual(0, ip + 4);
      this.#addEqual(ip + 6, transport + 4);
    } else {
      this.#sumUpIp();
      this.#addEqual(0, ip + 2);
      this.#addEqual(ip + 6, ip + 10);
      this.#addEqual(ip + 12, transport + 4);
    }
    if (protocol !== IP_PROTOCOL.tcp) return;
    this.#addEqual(transport + 8, transport + 12);
    this.#addEqual(transport + TCP_HEADER, payload);
  }

  /** Adds the words that cover `[start, end)`, four octets or more; the last one may overlap the one before. */
  #addEqual(start: number, end: number): void {
    for (let at = start; at < end; at += 4) this.#equal[this.#equalCount++] = Math.min(at, end - 4);
  }

  /** Whether all is equal that must be. */
  #sameHeaders(from: number): boolean {
    if (this.#equalCount === 0) this.#noteEqual();
    const view = this.#view;
    const equal = this.#equal;
    const count = this.#equalCount;
    const first = this.#firstAt;
    for (let i = 0; i < count; i++) {
      const at = equal[i]!;
      if (view.getInt32(first + at) !== view.getInt32(from + at)) return false;
    }
    if (this.#first.protocol !== IP_PROTOCOL.tcp) return true;
    const [a, b] = [first + this.#first.transport, from + this.#first.transport];
    return ((view.getInt32(a + 12) ^ view.getInt32(b + 12)) & OFFSET_AND_WINDOW) === 0 &&
      view.getUint16(a + TCP_URGENT) === view.getUint16(b + TCP_URGENT);
  }

  /** Whether the frame, located as #first, is a UDP datagram as a cut would give it: with a checksum and its own length. */
  #isUdp(from: number, to: number, checksum: FrameChecksum): boolean {
    const udp = from + this.#first.transport;
    return u16At(this.input, udp + 4) === to - udp &&
      (checksum === "partial" || u16At(this.input, udp + 6) !== 0);
  }

  /** Sums up the first IPv4 header; fields that differ from frame to frame are taken out by adding their complement. */
  #sumUpIp(): void {
    const l3 = this.#firstAt + this.#first.ip;
    const { input } = this;
    const varying = 3 * 0xffff - u16At(input, l3 + 2) - u16At(input, l3 + 4) - u16At(input, l3 + 10);
    const end = this.#firstAt + this.#first.transport;
    this.#ipSum = foldSum(sumWords(this.#view, l3, end) + varying);
  }

  /** Whether the checksums of a frame are right whose other headers are equal to the first's, as far as anybody can know. */
  #isIntact(from: number, to: number, checksum: FrameChecksum): boolean {
    const { ip, ipv6 } = this.#first;
    if (!ipv6) {
      const l3 = from + ip;
      const varying = u16At(this.input, l3 + 2) + u16At(this.input, l3 + 4) + u16At(this.input, l3 + 10);
      if (foldSum(this.#ipSum + varying) !== 0xffff) return false;
    }
    return checksum !== "unknown" || this.#isWholeIntact(from, to);
  }

  /** Whether the transport checksum is right. */
  #isWholeIntact(from: number, to: number): boolean {
    const { transport } = this.#first;
    const covered = to - from - transport;
    return foldSum(this.#pseudo + covered + sumWords(this.#view, from + transport, to)) === 0xffff;
  }

  /** Octets of the frame so far. */
  #joinedLength(): number {
    return this.#count === 1 ? this.#end - this.#firstAt : this.#end - FRAME;
  }

  #append(from: number, to: number): void {
    const { input } = this;
    const { transport, payload } = this.#first;
    const size = to - from - payload;
    if (this.#count === 1) {
      this.#joined.set(input.subarray(this.#firstAt, this.#end), FRAME);
      this.#end += FRAME - this.#firstAt;
    }
    this.#joined.set(input.subarray(from + payload, to), this.#end);
    this.#end += size;
    this.#count++;
    this.#nextSeq = this.#nextSeq + size >>> 0;
    this.#nextId = this.#nextId + 1 & 0xffff;
    if (this.#first.protocol !== IP_PROTOCOL.tcp) {
      if (size < this.#size || this.#count === MOST_DATAGRAMS) this.flush();
      return;
    }
    const last = input[from + transport + 13]! & LAST_ONLY;
    this.#flags |= last;
    if (last !== 0 || size < this.#size) this.flush();
  }

  /** Headers of the joined frame. */
  #finish(): void {
    const joined = this.#joined;
    const { ip, ipv6, transport, payload } = this.#first;
    const [l3, tcp] = [FRAME + ip, FRAME + transport];
    if (ipv6) putU16(joined, l3 + 4, this.#end - l3 - IPV6_HEADER);
    else {
      putU16(joined, l3 + 2, this.#end - l3);
      putU16(joined, l3 + 10, 0);
      putU16(joined, l3 + 10, finishSum(sumWords(this.#joinedView, l3, tcp)));
    }
    const { checksumOffset } = this.#first;
    const isTcp = this.#first.protocol === IP_PROTOCOL.tcp;
    if (isTcp) joined[tcp + 13] = this.#flags;
    else putU16(joined, tcp + 4, this.#end - tcp);
    putU16(joined, tcp + checksumOffset, foldSum(this.#pseudo + this.#end - tcp));
    const ecn = (this.#flags & TCP_FLAG.cwr) !== 0 ? VIRTIO_GSO_ECN : 0;
    writeVirtio(joined, START, {
      flags: VIRTIO_NEEDS_CHECKSUM,
      gso: isTcp ? (ipv6 ? VIRTIO_GSO.tcp6 : VIRTIO_GSO.tcp4) | ecn : VIRTIO_GSO.udp,
      headers: payload,
      size: this.#size,
      checksumStart: transport,
      checksumOffset,
    });
    this.deliver(joined, START, this.#end);
  }

  /** Delivers a frame from where it is. */
  #alone(from: number, to: number, checksum: FrameChecksum): void {
    const start = from - VIRTIO_HEADER;
    for (let at = start; at < from; at++) this.input[at] = 0; // ten octets: sooner done than asked for
    if (checksum === "partial" && this.#lone.locate(this.input, from, to)) {
      this.#header.flags = VIRTIO_NEEDS_CHECKSUM;
      this.#header.checksumStart = this.#lone.transport;
      this.#header.checksumOffset = this.#lone.checksumOffset;
      writeVirtio(this.input, start, this.#header);
    }
    this.deliver(this.input, start, to);
  }
}
