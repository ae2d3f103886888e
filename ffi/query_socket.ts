/** A UDP socket on which questions come and answers go, many with one system call, all in fixed memory. */
import { type Endpoint, formatEndpoint, isIpv4 } from "../mod/core/addr.ts";
import { ERRNO } from "../mod/core/errno.ts";
import { pointerOf, putAddress } from "./address.ts";
import { AnswerGroups } from "./answer_groups.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { HEADER, HEADER_WORDS } from "./message_header.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { endpointAt, SOCKET_ADDRESS, socketAddress } from "./socket_address.ts";

/** Datagrams of one call. */
const MESSAGES = 64;
/** Room for a question, and for an answer. */
const SLOT = 4_096;
/** Room for one control message with the address that a question was sent to: 16 octets and an in6_pktinfo, padded. */
const CONTROL = 40;
/** The control message with the length of the answers that share a message: 16 octets and a u16, padded. */
const SEGMENT_WORDS = 6;
const SEGMENT_USED = 18;
/** Errors that say that messages of several answers do not work here: an old kernel, a way without checksums. */
const NO_GROUPS: readonly number[] = [ERRNO.EINVAL, ERRNO.EIO, ERRNO.EOPNOTSUPP, ERRNO.ENOPROTOOPT];
const NAME_WORDS = SOCKET_ADDRESS.room / 4;
const RECEIVE_ROOM = 1024 * 1024;
const DO_NOT_WAIT = C.MSG_DONTWAIT | C.MSG_NOSIGNAL;

/** Where a question came from and which of our addresses it was sent to, for an answer that takes longer. */
export interface QuestionOrigin {
  /** The client's socket address. */
  readonly name: Uint32Array<ArrayBuffer>;
  /** The control message that was received with it. */
  readonly control: Uint8Array<ArrayBuffer>;
}

/** Memory for one call: headers, addresses, payloads. */
class Batch {
  readonly headers = new Uint32Array(new ArrayBuffer(MESSAGES * HEADER_WORDS * 4));
  readonly bytes = new Uint8Array(MESSAGES * SLOT);
  readonly iovecs = new Uint32Array(new ArrayBuffer(MESSAGES * 16));

  constructor() {
    const [iovecs, bytes] = [pointerOf(this.iovecs), pointerOf(this.bytes)];
    for (let i = 0; i < MESSAGES; i++) {
      putAddress(this.headers, i * HEADER_WORDS + HEADER.iov, iovecs + i * 16);
      this.headers[i * HEADER_WORDS + HEADER.iovCount] = 1;
      putAddress(this.iovecs, i * 4, bytes + i * SLOT);
      this.iovecs[i * 4 + 2] = SLOT;
    }
  }
}

/** Memory for one answer that took longer. */
class Late {
  readonly header = new Uint32Array(new ArrayBuffer(HEADER_WORDS * 4 + 64));
  readonly name = new Uint32Array(new ArrayBuffer(SOCKET_ADDRESS.room + 64));
  readonly control = new Uint8Array(new ArrayBuffer(CONTROL + 64));
  readonly iovec = new Uint32Array(new ArrayBuffer(16 + 64));
  readonly bytes = new Uint8Array(SLOT);

  constructor() {
    const { bytes, control, header, iovec, name } = this;
    putAddress(header, HEADER.name, pointerOf(name));
    putAddress(header, HEADER.iov, pointerOf(iovec));
    header[HEADER.iovCount] = 1;
    putAddress(header, HEADER.control, pointerOf(control));
    putAddress(iovec, 0, pointerOf(bytes));
  }
}

/** Questions come by `receive`, answers are written to `room` and go by `reply` and `flush`. Never waits. */
export class QuerySocket implements Disposable {
  readonly #in = new Batch();
  readonly #out = new Batch();
  readonly #names = new Uint32Array(new ArrayBuffer(MESSAGES * SOCKET_ADDRESS.room));
  readonly #control = new Uint8Array(new ArrayBuffer(MESSAGES * CONTROL));
  readonly #namesAt = pointerOf(this.#names);
  readonly #controlAt = pointerOf(this.#control);
  readonly #iovecsAt = pointerOf(this.#out.iovecs);
  readonly #outAt = pointerOf(this.#out.bytes);
  readonly #segments = new Uint32Array(new ArrayBuffer(MESSAGES * SEGMENT_WORDS * 4));
  readonly #segmentsAt = pointerOf(this.#segments);
  readonly #groups: AnswerGroups;
  readonly #late = new Late();
  readonly #rooms: readonly Uint8Array<ArrayBuffer>[];
  readonly #wildcard: boolean;
  readonly #ipv6: boolean;
  #fd: number;
  /** Answers that the kernel did not take: its buffers were full, a firewall, no way back. */
  unsent = 0;

  /** Binds a socket to an address and port. Throws "native/call-failed" with the error number. */
  constructor(endpoint: Endpoint) {
    this.#ipv6 = !isIpv4(endpoint.ip);
    this.#wildcard = endpoint.ip === "0.0.0.0" || endpoint.ip === "::";
    this.#rooms = Array.from(
      { length: MESSAGES },
      (_, i) => this.#out.bytes.subarray(i * SLOT, (i + 1) * SLOT),
    );
    const family = this.#ipv6 ? UDP.AF_INET6 : UDP.AF_INET;
    this.#fd = libc().socket(family, C.SOCK_DGRAM | C.SOCK_CLOEXEC | UDP.SOCK_NONBLOCK, 0);
    if (this.#fd < 0) throw callFailed("make UDP socket", lastErrno());
    try {
      this.#setUp();
      const address = socketAddress(endpoint, this.#ipv6);
      if (packetCalls().bind(this.#fd, address, address.length) < 0) {
        throw callFailed(`answer names on ${formatEndpoint(endpoint)}, UDP`, lastErrno());
      }
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
    for (let i = 0; i < MESSAGES; i++) this.#prepare(i);
    // Where answers go from is told for each message: to the same client they may go from several addresses.
    const compared = this.#ipv6 ? SOCKET_ADDRESS.ipv6 / 4 : 2; // family and port, address
    this.#groups = new AnswerGroups(MESSAGES, {
      ...{ names: this.#names, words: NAME_WORDS, compared, enabled: !this.#wildcard },
    });
  }

  /** Descriptor, to wait on. */
  get fd(): number {
    return this.#fd;
  }

  /** Most questions of one receive(). */
  get capacity(): number {
    return MESSAGES;
  }

  /** Where it is bound, with the port that the system chose. */
  get endpoint(): Endpoint {
    const address = new Uint8Array(new ArrayBuffer(SOCKET_ADDRESS.room));
    const length = new Uint8Array(Uint32Array.of(SOCKET_ADDRESS.room).buffer);
    packetCalls().getsockname(this.#fd, address, length);
    return endpointAt(address, 0)!;
  }

  /** Receives what is there; returns how many. What the last call gave is gone. */
  receive(): number {
    const { headers } = this.#in;
    if (this.#wildcard) {
      for (let i = 0; i < MESSAGES; i++) headers[i * HEADER_WORDS + HEADER.controlLength] = CONTROL;
    }
    const count = packetCalls().recvmmsg(this.#fd, headers, MESSAGES, C.MSG_DONTWAIT, null);
    if (count > 0) return count;
    const errno = lastErrno();
    if (errno === ERRNO.EBADF || errno === ERRNO.EFAULT) throw callFailed("receive questions", errno);
    return 0; // other errors are of answers that were sent
  }

  /** A question, as a view that lasts until the next receive(); empty where it was longer than any question. */
  question(i: number): Uint8Array<ArrayBuffer> {
    const at = i * HEADER_WORDS;
    const { bytes, headers } = this.#in;
    const length = (headers[at + HEADER.flags]! & C.MSG_TRUNC) !== 0 ? 0 : headers[at + HEADER.length]!;
    return bytes.subarray(i * SLOT, i * SLOT + length);
  }

  /** Whether a question came from an IPv4 address. */
  get isIpv4(): boolean {
    return !this.#ipv6;
  }

  /** The IPv4 address that a question came from; of IPv6 its network of 64 bits, folded into 24 bits. */
  source(i: number): number {
    const names = this.#names;
    const at = i * NAME_WORDS;
    if (this.#ipv6) {
      return Math.imul(names[at + 2]! ^ Math.imul(names[at + 3]!, 0x9e3779b1), 0x85ebca6b) >>> 0;
    }
    const word = names[at + 1]!;
    return (word << 24 | (word & 0xff00) << 8 | word >>> 8 & 0xff00 | word >>> 24) >>> 0;
  }

  /** Where the answer to a question is written. */
  room(i: number): Uint8Array<ArrayBuffer> {
    return this.#rooms[i]!;
  }

  /** Queues the answer that was written for a question, each once at most. Answers to one client may change places. */
  reply(i: number, length: number): void {
    this.#groups.add(i, length);
  }

  /** Sends what is queued. */
  flush(): void {
    if (this.#groups.count > 0) this.#send();
  }

  /** Where a question came from, to keep. */
  origin(i: number): QuestionOrigin {
    const at = i * HEADER_WORDS;
    const length = this.#wildcard ? this.#in.headers[at + HEADER.controlLength]! : 0;
    return {
      name: this.#names.slice(i * NAME_WORDS, (i + 1) * NAME_WORDS),
      control: this.#control.slice(i * CONTROL, i * CONTROL + length),
    };
  }

  /** Sends an answer that took longer. It has at most 4,096 octets. */
  replyTo(origin: QuestionOrigin, answer: Uint8Array): void {
    const { bytes, control, header, iovec, name } = this.#late;
    bytes.set(answer);
    name.set(origin.name);
    control.set(origin.control);
    header[HEADER.nameLength] = this.#nameLength;
    header[HEADER.controlLength] = origin.control.length;
    iovec[2] = answer.length;
    if (packetCalls().sendmmsg(this.#fd, header, 1, DO_NOT_WAIT) !== 1) this.unsent++;
  }

  /** Closes the socket. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }

  get #nameLength(): number {
    return this.#ipv6 ? SOCKET_ADDRESS.ipv6 : SOCKET_ADDRESS.ipv4;
  }

  /** The kernel stops at the first message that it does not take: that one is given up, and the others are moved up. */
  #send(): void {
    const { headers } = this.#out;
    const { count } = this.#groups;
    for (let group = 0, iovec = 0; group < count; group++) iovec = this.#write(group, iovec);
    for (let done = 0; done < count;) {
      let sent = packetCalls().sendmmsg(this.#fd, headers, count - done, DO_NOT_WAIT);
      if (sent === count - done) break;
      if (sent <= 0) {
        this.#giveUp(done, lastErrno());
        sent = 1;
      }
      headers.copyWithin(0, sent * HEADER_WORDS, (count - done) * HEADER_WORDS);
      done += sent;
    }
    this.#groups.clear();
  }

  /** Writes the message of a group, whose answers begin at an iovec; the result is where the next one's begin. */
  #write(group: number, iovec: number): number {
    const { headers, iovecs } = this.#out;
    const { answers, first, lengths, next, size } = this.#groups;
    const one = first[group]!;
    const count = answers[group]!;
    const at = group * HEADER_WORDS;
    putAddress(headers, at + HEADER.name, this.#namesAt + one * SOCKET_ADDRESS.room);
    headers[at + HEADER.nameLength] = this.#in.headers[one * HEADER_WORDS + HEADER.nameLength]!;
    putAddress(headers, at + HEADER.iov, this.#iovecsAt + iovec * 16);
    headers[at + HEADER.iovCount] = count;
    headers[at + HEADER.controlLength] = 0;
    if (this.#wildcard) {
      putAddress(headers, at + HEADER.control, this.#controlAt + one * CONTROL);
      headers[at + HEADER.controlLength] = this.#in.headers[one * HEADER_WORDS + HEADER.controlLength]!;
    } else if (count > 1) {
      this.#segments[group * SEGMENT_WORDS + 4] = size[group]!;
      putAddress(headers, at + HEADER.control, this.#segmentsAt + group * SEGMENT_WORDS * 4);
      headers[at + HEADER.controlLength] = SEGMENT_WORDS * 4;
    }
    for (let i = one; i >= 0; i = next[i]!) {
      putAddress(iovecs, iovec * 4, this.#outAt + i * SLOT);
      iovecs[iovec * 4 + 2] = lengths[i]!;
      iovec++;
    }
    return iovec;
  }

  /** The kernel does not take a message. Answers that share one are tried each by itself. */
  #giveUp(group: number, errno: number): void {
    const { answers, first, lengths, next } = this.#groups;
    if (answers[group] === 1) return void this.unsent++;
    if (NO_GROUPS.includes(errno)) this.#groups.enabled = false;
    for (let i = first[group]!; i >= 0; i = next[i]!) {
      this.replyTo(this.origin(i), this.#rooms[i]!.subarray(0, lengths[i]));
    }
  }

  #prepare(i: number): void {
    const { headers } = this.#in;
    const at = i * HEADER_WORDS;
    this.#segments[i * SEGMENT_WORDS] = SEGMENT_USED;
    this.#segments[i * SEGMENT_WORDS + 2] = UDP.SOL_UDP;
    this.#segments[i * SEGMENT_WORDS + 3] = UDP.UDP_SEGMENT;
    putAddress(headers, at + HEADER.name, this.#namesAt + i * SOCKET_ADDRESS.room);
    headers[at + HEADER.nameLength] = this.#nameLength;
    if (this.#wildcard) putAddress(headers, at + HEADER.control, this.#controlAt + i * CONTROL);
  }

  /** Answers may be broken into fragments, whatever others say about the path: it leads to containers mostly, and what
   * anybody can say about it would break answers that need not be. */
  #setUp(): void {
    const [level, discover, whole, info] = this.#ipv6
      ? [UDP.SOL_IPV6, UDP.IPV6_MTU_DISCOVER, UDP.PMTUDISC_DONT, UDP.IPV6_RECVPKTINFO]
      : [UDP.SOL_IP, UDP.IP_MTU_DISCOVER, UDP.PMTUDISC_OMIT, UDP.IP_PKTINFO];
    this.#set(level, discover, whole);
    if (this.#ipv6) this.#set(level, UDP.IPV6_V6ONLY, 1);
    if (this.#wildcard) this.#set(level, info, 1);
    this.#set(C.SOL_SOCKET, C.SO_RCVBUFFORCE, RECEIVE_ROOM) ||
      this.#set(C.SOL_SOCKET, UDP.SO_RCVBUF, RECEIVE_ROOM);
  }

  #set(level: number, option: number, value: number): boolean {
    return libc().setsockopt(this.#fd, level, option, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
  }
}
