/** Sends many datagrams at once: several messages per call, several equal datagrams per message. */
import { type Ip, ipToBytes } from "../mod/core/addr.ts";
import { ERRNO } from "../mod/core/errno.ts";
import { pointerOf, putAddress } from "./address.ts";
import { C, lastErrno } from "./c_symbols.ts";
import { HEADER, HEADER_WORDS } from "./message_header.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { type RouteMtus, UNKNOWN_MTUS } from "./path_mtu.ts";

/** Messages of one call. */
const MESSAGES = 64;
/** Room for what is sent. */
const ROOM = 512 * 1024;
// struct cmsghdr: len 8, level 4, type 4; then the data, padded to 8. For each message there is room for two: the size of
// its datagrams, a u16, and behind it the address to send from, in_pktinfo or in6_pktinfo.
const SEGMENT_WORDS = 6;
const SEGMENT_USED = 18;
const SOURCE_WORDS = 10;
const CONTROL_WORDS = SEGMENT_WORDS + SOURCE_WORDS;
/** Errors that an address to send from causes that is not this host's any more. */
const NOT_OURS: readonly number[] = [ERRNO.EINVAL, ERRNO.ENETUNREACH, ERRNO.EADDRNOTAVAIL];

/** Why a message was not sent. */
export type SendFailure =
  /** It is larger than any whole datagram that this peer can be sent. */
  | "too-big"
  /** The kernel's buffers are full. */
  | "full"
  /** Some other reason: no route, a firewall. */
  | "unreachable";

/** A peer as the queue sends to it. */
export interface SendAddress {
  /** The socket address. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where that is. */
  readonly address: number;
  /** The control message with our address to send from; undefined: the kernel chooses. It is given up when the kernel
   * refuses it. */
  source: Uint32Array<ArrayBuffer> | undefined;
  /** It is never given up: what the kernel refuses is not sent. */
  readonly fixed?: boolean;
}

/** The control message that has datagrams leave from an address of ours. */
export function sourceControl(ip: Ip): Uint32Array<ArrayBuffer> {
  const octets = ipToBytes(ip);
  const ipv4 = octets.length === 4;
  // in_pktinfo: interface 4, source 4, destination 4; in6_pktinfo: source 16, interface 4
  const used = ipv4 ? 28 : 36;
  const words = new Uint32Array(new ArrayBuffer(ipv4 ? 32 : 40));
  words[0] = used;
  words[2] = ipv4 ? UDP.SOL_IP : UDP.SOL_IPV6;
  words[3] = ipv4 ? UDP.IP_PKTINFO : UDP.IPV6_PKTINFO;
  new Uint8Array(words.buffer).set(octets, ipv4 ? 20 : 16);
  return words;
}

/** Decides about messages that the kernel refused. */
export interface SendFallback {
  /** What the kernel says about the largest packet to this peer. */
  pathMtus(to: SendAddress): RouteMtus;
  /** A message was given up. */
  refused(
    tag: number,
    why: SendFailure,
    more: RouteMtus & { readonly datagrams: number },
  ): void;
}

/** Messages that wait to be sent by one call. */
export class SendQueue {
  /** Where the messages are put. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(ROOM);
  readonly #headers = new Uint32Array(new ArrayBuffer(MESSAGES * HEADER_WORDS * 4));
  /** Where the headers of each message are. */
  readonly #headersAt = Array.from(
    { length: MESSAGES },
    (_, i) => BigInt(pointerOf(this.#headers) + i * HEADER_WORDS * 4),
  );
  readonly #iovecs = new Uint32Array(new ArrayBuffer(MESSAGES * 16));
  readonly #control = new Uint32Array(new ArrayBuffer(MESSAGES * CONTROL_WORDS * 4));
  readonly #base = pointerOf(this.bytes);
  readonly #controlBase = pointerOf(this.#control);
  readonly #to: (SendAddress | undefined)[] = new Array(MESSAGES).fill(undefined);
  /** Whose address to send from is in the control messages. */
  readonly #sources: (Uint32Array<ArrayBuffer> | undefined)[] = new Array(MESSAGES).fill(undefined);
  readonly #tags = new Int32Array(MESSAGES);
  readonly #sizes = new Int32Array(MESSAGES);
  readonly #starts = new Int32Array(MESSAGES);
  #count = 0;
  #df = true;
  #groups: boolean;

  /** `groups`: whether the kernel takes several datagrams as one message. */
  constructor(groups: boolean, readonly outer: { readonly ipv6: boolean }) {
    this.#groups = groups;
    const iovecs = pointerOf(this.#iovecs);
    for (let i = 0; i < MESSAGES; i++) {
      putAddress(this.#headers, i * HEADER_WORDS + HEADER.iov, iovecs + i * 16);
      this.#headers[i * HEADER_WORDS + HEADER.iovCount] = 1;
      this.#control[i * CONTROL_WORDS] = SEGMENT_USED;
      this.#control[i * CONTROL_WORDS + 2] = UDP.SOL_UDP;
      this.#control[i * CONTROL_WORDS + 3] = UDP.UDP_SEGMENT;
    }
  }

  /** Messages that wait. */
  get count(): number {
    return this.#count;
  }

  /** Whether the kernel still takes groups. */
  get groups(): boolean {
    return this.#groups;
  }

  /** Adds the datagrams in `[from, to)` of `bytes`, `size` octets each but the last; false when there is no room. */
  add(to: SendAddress, span: { from: number; to: number; size: number; tag: number }): boolean {
    const several = span.to - span.from > span.size;
    if (several && !this.#groups) return this.#addSingly(to, span);
    if (this.#count === MESSAGES) return false;
    this.#put(this.#count++, to, span);
    return true;
  }

  /** Sends what waits; `df` as the socket is set: without it datagrams larger than the path are cut on their way. */
  flush(fd: number, df: boolean, fallback: SendFallback): void {
    this.#df = df;
    for (let done = 0; done < this.#count;) {
      const sent = packetCalls().sendmmsg_at(fd, this.#headersAt[done]!, this.#count - done, C.MSG_DONTWAIT);
      if (sent > 0) done += sent;
      else {
        const errno = lastErrno();
        if (errno !== ERRNO.EINTR && !this.#givesUpSource(done, errno)) {
          this.#refused(fd, done++, errno, fallback);
        }
      }
    }
    this.#to.fill(undefined, 0, this.#count);
    this.#count = 0;
  }

  #put(i: number, to: SendAddress, span: { from: number; to: number; size: number; tag: number }): void {
    const headers = this.#headers;
    const at = i * HEADER_WORDS;
    this.#to[i] = to;
    this.#tags[i] = span.tag;
    this.#sizes[i] = span.size;
    this.#starts[i] = span.from;
    putAddress(headers, at + HEADER.name, to.address);
    headers[at + HEADER.nameLength] = to.bytes.length;
    putAddress(this.#iovecs, i * 4, this.#base + span.from);
    this.#iovecs[i * 4 + 2] = span.to - span.from;
    const several = span.to - span.from > span.size;
    const { source } = to;
    const words = (several ? SEGMENT_WORDS : 0) + (source === undefined ? 0 : source.length);
    const skipped = several ? 0 : SEGMENT_WORDS;
    putAddress(
      headers,
      at + HEADER.control,
      words === 0 ? 0 : this.#controlBase + (i * CONTROL_WORDS + skipped) * 4,
    );
    headers[at + HEADER.controlLength] = words * 4;
    this.#control[i * CONTROL_WORDS + 4] = span.size;
    if (source !== undefined && this.#sources[i] !== source) {
      this.#sources[i] = source;
      this.#control.set(source, i * CONTROL_WORDS + SEGMENT_WORDS);
    }
  }

  /** For kernels without groups: each datagram a message. */
  #addSingly(to: SendAddress, span: { from: number; to: number; size: number; tag: number }): boolean {
    const needed = Math.ceil((span.to - span.from) / span.size);
    if (this.#count + needed > MESSAGES) return false;
    for (let from = span.from; from < span.to; from += span.size) {
      const end = Math.min(from + span.size, span.to);
      this.#put(this.#count++, to, { from, to: end, size: end - from, tag: span.tag });
    }
    return true;
  }

  /** The address to send from may have gone: without it the message may be sent. False: that was not it. */
  #givesUpSource(i: number, errno: number): boolean {
    const to = this.#to[i]!;
    if (to.source === undefined || to.fixed === true || !NOT_OURS.includes(errno)) return false;
    to.source = undefined;
    for (let at = i; at < this.#count; at++) {
      if (this.#to[at] !== to) continue;
      const [from, size] = [this.#starts[at]!, this.#sizes[at]!];
      const length = this.#iovecs[at * 4 + 2]!;
      this.#put(at, to, { from, to: from + length, size, tag: this.#tags[at]! });
    }
    return true;
  }

  #refused(fd: number, i: number, errno: number, fallback: SendFallback): void {
    const to = this.#to[i]!;
    const length = this.#iovecs[i * 4 + 2]!;
    const size = this.#sizes[i]!;
    const datagrams = Math.ceil(length / size);
    const tag = this.#tags[i]!;
    const give = (why: SendFailure, mtus: RouteMtus = UNKNOWN_MTUS) =>
      fallback.refused(tag, why, { ...mtus, datagrams });
    const refusesGroup = datagrams > 1 &&
      ([ERRNO.EINVAL, ERRNO.EMSGSIZE, ERRNO.EIO] as number[]).includes(errno);
    if (errno !== ERRNO.EMSGSIZE && !refusesGroup) {
      return give(errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS ? "full" : "unreachable");
    }
    const mtus = fallback.pathMtus(to);
    const outer = this.outer.ipv6 && !isMapped(to.bytes) ? 48 : 28;
    const isLarger = mtus.interfaceMtu > 0 && size + outer > mtus.interfaceMtu;
    if (!refusesGroup || this.#df && isLarger) return give("too-big", mtus);
    // If the size is not the reason, this device or kernel takes no groups.
    if (errno !== ERRNO.EMSGSIZE && !isLarger) this.#groups = false;
    this.#sendSingly(fd, i, to, give);
  }

  #sendSingly(fd: number, i: number, to: SendAddress, give: (why: SendFailure) => void): void {
    const [start, size] = [this.#starts[i]!, this.#sizes[i]!];
    const end = start + this.#iovecs[i * 4 + 2]!;
    const tag = this.#tags[i]!;
    for (let from = start; from < end; from += size) {
      const till = Math.min(from + size, end);
      this.#put(i, to, { from, to: till, size: till - from, tag });
      if (packetCalls().sendmmsg_at(fd, this.#headersAt[i]!, 1, C.MSG_DONTWAIT) !== 1) return give("full");
    }
  }
}

function isMapped(bytes: Uint8Array): boolean {
  for (let at = 8; at < 18; at++) if (bytes[at] !== 0) return false;
  return bytes[18] === 0xff && bytes[19] === 0xff;
}
