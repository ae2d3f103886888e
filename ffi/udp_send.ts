/** Sends many datagrams at once: several messages per call, several equal datagrams per message. */
import { ERRNO } from "../mod/core/errno.ts";
import { pointerOf, putAddress } from "./address.ts";
import { C, lastErrno } from "./c_symbols.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { type RouteMtus, UNKNOWN_MTUS } from "./path_mtu.ts";

/** Messages of one call. */
const MESSAGES = 64;
/** Room for what is sent. */
const ROOM = 512 * 1024;
// struct mmsghdr in words of 32 bits: name 0, namelen 2, iov 4, iovlen 6, control 8, controllen 10, flags 12, len 14
const WORDS = 16;
const AT = { name: 0, nameLength: 2, iov: 4, iovCount: 6, control: 8, controlLength: 10 };
// struct cmsghdr: len 8, level 4, type 4; then the data, here u16
const CONTROL_WORDS = 6;
const CONTROL_USED = 18;

/** Why a message was not sent. */
export type SendFailure =
  /** It is larger than what goes to this peer, as whole datagrams. */
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
}

/** What decides about messages that the kernel refused. */
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
  readonly #headers = new Uint32Array(new ArrayBuffer(MESSAGES * WORDS * 4));
  readonly #headerBytes = new Uint8Array(this.#headers.buffer);
  readonly #iovecs = new Uint32Array(new ArrayBuffer(MESSAGES * 16));
  readonly #control = new Uint32Array(new ArrayBuffer(MESSAGES * CONTROL_WORDS * 4));
  readonly #base = pointerOf(this.bytes);
  readonly #controlBase = pointerOf(this.#control);
  readonly #to: (SendAddress | undefined)[] = new Array(MESSAGES).fill(undefined);
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
      putAddress(this.#headers, i * WORDS + AT.iov, iovecs + i * 16);
      this.#headers[i * WORDS + AT.iovCount] = 1;
      this.#control[i * CONTROL_WORDS] = CONTROL_USED;
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
      const headers = done === 0 ? this.#headerBytes : this.#headerBytes.subarray(done * WORDS * 4);
      const sent = packetCalls().sendmmsg(fd, headers, this.#count - done, C.MSG_DONTWAIT);
      if (sent > 0) done += sent;
      else {
        const errno = lastErrno();
        if (errno !== ERRNO.EINTR) this.#refused(fd, done++, errno, fallback);
      }
    }
    this.#to.fill(undefined, 0, this.#count);
    this.#count = 0;
  }

  #put(i: number, to: SendAddress, span: { from: number; to: number; size: number; tag: number }): void {
    const headers = this.#headers;
    const at = i * WORDS;
    this.#to[i] = to;
    this.#tags[i] = span.tag;
    this.#sizes[i] = span.size;
    this.#starts[i] = span.from;
    putAddress(headers, at + AT.name, to.address);
    headers[at + AT.nameLength] = to.bytes.length;
    putAddress(this.#iovecs, i * 4, this.#base + span.from);
    this.#iovecs[i * 4 + 2] = span.to - span.from;
    const several = span.to - span.from > span.size;
    putAddress(headers, at + AT.control, several ? this.#controlBase + i * CONTROL_WORDS * 4 : 0);
    headers[at + AT.controlLength] = several ? CONTROL_WORDS * 4 : 0;
    this.#control[i * CONTROL_WORDS + 4] = span.size;
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
    // If the size is not what it minds, this device or kernel takes no groups.
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
      const header = this.#headerBytes.subarray(i * WORDS * 4, (i + 1) * WORDS * 4);
      if (packetCalls().sendmmsg(fd, header, 1, C.MSG_DONTWAIT) !== 1) return give("full");
    }
  }
}

function isMapped(bytes: Uint8Array): boolean {
  for (let at = 8; at < 18; at++) if (bytes[at] !== 0) return false;
  return bytes[18] === 0xff && bytes[19] === 0xff;
}
