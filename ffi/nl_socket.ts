/** Netlink sockets: libnl makes and sets them up, the C library moves the bytes. */
import { ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import type { NetlinkAnswer, NetlinkCodec, NetlinkSocket } from "../mod/core/ports.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed, nlFailed, requestFailed } from "./native_error.ts";
import { inNetns } from "./netns.ts";
import { libnl } from "./nl_symbols.ts";
import { rest, waitReadable } from "./poll.ts";

/** A netlink protocol. */
export type NetlinkProtocol = "route" | "xfrm" | "netfilter" | "generic";

const PROTOCOLS: Readonly<Record<NetlinkProtocol, number>> = {
  route: 0,
  xfrm: 6,
  netfilter: 12,
  generic: 16,
};
/** Longer than any message the kernel sends: a frame of 64 KiB with its attributes, or 32 KiB of a dump. */
const SCRATCH = 128 * 1024;
const PATIENCE_MS = 5_000;
/** Rests before a list that changed while it was read is read again, in milliseconds. What changes interfaces, addresses or
 * rules does so in bursts; the thread has other work, so it does not wait for longer. */
const TORN_RESTS_MS = [0, 0, 1, 2, 4, 8, 16, 32, 64, 128] as const;

/** Requests that are sent at once may be so long, in octets. libnl allows 64 KiB; this is a bound and costs no memory. */
const SEND_BUFFER = 1024 * 1024;

/** One receive buffer for all sockets of this thread: every use ends before the next begins. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** How a socket is made. */
export interface NetlinkOptions {
  /** The protocol. */
  readonly protocol: NetlinkProtocol;
  /** How requests and answers look. */
  readonly codec: NetlinkCodec;
  /** Multicast groups to join, by number. */
  readonly groups?: readonly number[];
  /** Path of the network namespace to make it in; the current one if left out. */
  readonly netns?: string;
  /** Hear of what happens in other network namespaces, too: those that have a number in this one. */
  readonly allNamespaces?: boolean;
  /** Octets of receive buffer, beyond the system's limit if need be (needs CAP_NET_ADMIN). */
  readonly receiveBuffer?: number;
  /** Do not report an overrun of the receive buffer. */
  readonly ignoreOverrun?: boolean;
  /** Whether errors bring the whole refused request back; if not, only its header. */
  readonly echoErrors?: boolean;
}

/** Opens a netlink socket. It keeps the namespace in which it was made.
 * Throws MeshnetError "native/library-missing" or "native/call-failed". */
export function openNetlink(options: NetlinkOptions): NlSocket {
  return options.netns === undefined
    ? new NlSocket(options)
    : inNetns(options.netns, () => new NlSocket(options));
}

/** libnl has no number of its own for descriptors that are used up. */
function openFailed(action: string, code: number): MeshnetError {
  const errno = lastErrno();
  return errno === ERRNO.EMFILE || errno === ERRNO.ENFILE
    ? callFailed(action, errno)
    : nlFailed(action, code);
}

/** A netlink socket. Dispose it; nothing else frees its descriptor. */
export class NlSocket implements NetlinkSocket {
  #pointer: Deno.PointerValue;
  readonly #codec: NetlinkCodec;
  #seq = 0;
  /** Descriptor, to wait on. */
  readonly fd: number;
  /** The kernel's port id of this socket. */
  readonly portId: number;

  /** Makes the socket in the current network namespace. */
  constructor(options: NetlinkOptions) {
    const nl = libnl();
    this.#codec = options.codec;
    this.#pointer = nl.nl_socket_alloc();
    if (this.#pointer === null) throw nlFailed("allocate netlink socket", -5);
    try {
      const code = nl.nl_connect(this.#pointer, PROTOCOLS[options.protocol]);
      if (code < 0) throw openFailed(`open ${options.protocol} netlink socket`, code);
      this.fd = nl.nl_socket_get_fd(this.#pointer);
      this.portId = nl.nl_socket_get_local_port(this.#pointer);
      this.#trySet(C.SOL_NETLINK, C.NETLINK_EXT_ACK, 1); // absent before Linux 4.12: errors without words
      if (options.echoErrors !== true) this.#trySet(C.SOL_NETLINK, C.NETLINK_CAP_ACK, 1);
      if (options.ignoreOverrun === true) this.#trySet(C.SOL_NETLINK, C.NETLINK_NO_ENOBUFS, 1);
      if (options.allNamespaces === true) this.#trySet(C.SOL_NETLINK, C.NETLINK_LISTEN_ALL_NSID, 1);
      if (options.receiveBuffer !== undefined) this.#growReceiveBuffer(options.receiveBuffer);
      this.#growSendBuffer();
      for (const group of options.groups ?? []) this.join(group);
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
  }

  #trySet(level: number, option: number, value: number): boolean {
    return libc().setsockopt(this.fd, level, option, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
  }

  #growReceiveBuffer(octets: number): void {
    if (this.#trySet(C.SOL_SOCKET, C.SO_RCVBUFFORCE, octets)) return;
    const code = libnl().nl_socket_set_buffer_size(this.#pointer, octets, 0);
    if (code < 0) throw nlFailed("set receive buffer of netlink socket", code);
  }

  /** As far as the system's limit without the right to go beyond it. */
  #growSendBuffer(): void {
    if (this.#trySet(C.SOL_SOCKET, C.SO_SNDBUFFORCE, SEND_BUFFER)) return;
    this.#trySet(C.SOL_SOCKET, C.SO_SNDBUF, SEND_BUFFER);
  }

  #open(): number {
    if (this.#pointer === null) throw new TypeError("Cannot use netlink socket: it is disposed");
    return this.fd;
  }

  /** Joins a multicast group by number. */
  join(group: number): void {
    this.#open();
    const code = libnl().nl_socket_add_membership(this.#pointer, group);
    if (code < 0) throw nlFailed(`join netlink group ${group}`, code);
  }

  /** See NetlinkSocket.request. */
  request(message: Uint8Array<ArrayBuffer>): readonly Uint8Array[] {
    let answer = this.#ask(message);
    for (const ms of TORN_RESTS_MS) {
      if (!answer.interrupted) break;
      if (ms > 0) rest(ms);
      answer = this.#ask(message);
    }
    if (!answer.interrupted) return answer.replies;
    throw new MeshnetError(
      "netlink/torn",
      `Cannot list what the kernel has: it changed during each of ${TORN_RESTS_MS.length + 1} attempts`,
      { hint: "Programs change interfaces, addresses or rules of this host all the time; try again" },
    );
  }

  #ask(message: Uint8Array<ArrayBuffer>): NetlinkAnswer {
    const fd = this.#open();
    this.#seq = (this.#seq + 1) >>> 0 || 1; // 0 is what unsolicited messages carry
    const answer = this.#codec.answerTo(this.#seq);
    this.#codec.complete(message, this.#seq, this.portId);
    this.send(message);
    const deadline = performance.now() + PATIENCE_MS;
    while (answer.verdict === undefined) {
      const datagram = this.receive();
      if (datagram === undefined) {
        waitReadable(fd, 500);
        if (performance.now() > deadline) {
          throw new MeshnetError("netlink/timeout", "Kernel does not answer request");
        }
        continue;
      }
      const taken = answer.take(datagram);
      if (!taken.ok) {
        throw new MeshnetError(
          "netlink/request-failed",
          `Cannot understand kernel's answer: ${taken.reason}`,
        );
      }
    }
    if (answer.verdict.errno !== 0) throw requestFailed(answer.verdict);
    return answer;
  }

  /** See NetlinkSocket.send: sends messages as they are; errors come back as datagrams. */
  send(message: Uint8Array<ArrayBuffer>): void {
    this.sendFirst(message, message.length);
  }

  /** Sends the first `length` octets of a buffer. */
  sendFirst(buffer: Uint8Array<ArrayBuffer>, length: number): void {
    const fd = this.#open();
    if (libc().send(fd, buffer, BigInt(length), 0) === length) return;
    const errno = lastErrno();
    if (errno === ERRNO.EINTR) return this.sendFirst(buffer, length);
    throw callFailed("send netlink message", errno);
  }

  /** The next datagram, or undefined when there is none. A view, valid until this thread next uses a netlink socket. */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    const fd = this.#open();
    scratch ??= new Uint8Array(SCRATCH);
    const length = libc().recv(fd, scratch, BigInt(SCRATCH), C.MSG_DONTWAIT | C.MSG_TRUNC);
    if (length > SCRATCH) {
      throw new MeshnetError("netlink/request-failed", `Netlink message is too long: ${length} bytes`);
    }
    if (length >= 0) return scratch.subarray(0, length);
    const errno = lastErrno();
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return undefined;
    throw callFailed("receive netlink message", errno);
  }

  /** Closes the socket. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#pointer !== null) libnl().nl_socket_free(this.#pointer);
    this.#pointer = null;
  }
}
