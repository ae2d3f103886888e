/** The socket of the user-space path: one UDP port, datagrams with DF and without, many at once. */
import { type Endpoint, formatEndpoint, type Ip, isIpv4 } from "../mod/core/addr.ts";
import { ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import { pointerOf } from "./address.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { pathMtusTo, type RouteMtus } from "./path_mtu.ts";
import { endpointAt, SOCKET_ADDRESS, socketAddress } from "./socket_address.ts";
import { ReceiveRing } from "./udp_receive.ts";
import { type SendAddress, type SendFailure, SendQueue, sourceControl } from "./udp_send.ts";

/** Buffers in the kernel. */
const RECEIVE_BUFFER = 8 * 1024 * 1024;
const SEND_BUFFER = 8 * 1024 * 1024;

/** A peer's address, ready for use with the socket that made it. */
export interface UdpPeer extends SendAddress {
  /** The address. */
  readonly endpoint: Endpoint;
  /** The socket address as words. */
  readonly words: Uint32Array<ArrayBuffer>;
}

/** What a socket is opened with. */
export interface UdpSocketOptions {
  /** Address to bind to; all of both families unless given. */
  readonly host?: Ip | undefined;
  /** Port; 0: the kernel chooses. */
  readonly port: number;
  /** False: datagrams are never grouped, neither sent nor received. For tests, and against broken drivers. */
  readonly groups?: boolean;
}

/** See UdpSocket.refused. */
export type Refused = (
  tag: number,
  why: SendFailure,
  more: RouteMtus & { readonly datagrams: number },
) => void;

/** The SleeveSocket of the data plane. One socket for everything: a second one on the same port would take datagrams
 * away. DF is switched between messages where it must; see README. */
export class UdpSocket implements Disposable {
  /** Called for each message that was not sent. */
  refused: Refused = () => {};
  readonly ring: ReceiveRing = new ReceiveRing();
  readonly #queue: SendQueue;
  /** Whether DF is set on what is sent, by family: IPv4, IPv6. */
  readonly #df = [true, true];
  #queuedDf = true;
  #queuedIpv6 = false;
  #fd: number;

  private constructor(fd: number, readonly ipv6: boolean, groups: boolean) {
    this.#fd = fd;
    this.#queue = new SendQueue(groups, { ipv6 });
  }

  /** Opens and binds the socket, in the network namespace of the calling thread. Throws MeshnetError. */
  static open(options: UdpSocketOptions): UdpSocket {
    const { host, port, groups = true } = options;
    const type = C.SOCK_DGRAM | C.SOCK_CLOEXEC | UDP.SOCK_NONBLOCK;
    let ipv6 = host === undefined || !isIpv4(host);
    let fd = libc().socket(ipv6 ? UDP.AF_INET6 : UDP.AF_INET, type, 0);
    if (fd < 0 && host === undefined && lastErrno() === ERRNO.EAFNOSUPPORT) {
      ipv6 = false;
      fd = libc().socket(UDP.AF_INET, type, 0);
    }
    if (fd < 0) throw callFailed("make UDP socket", lastErrno());
    try {
      const any = (ipv6 ? "::" : "0.0.0.0") as Ip;
      if (ipv6) set(fd, UDP.SOL_IPV6, UDP.IPV6_V6ONLY, 0);
      setDf(fd, false, true);
      if (ipv6) setDf(fd, true, true);
      grow(fd, UDP.SO_RCVBUFFORCE, UDP.SO_RCVBUF, RECEIVE_BUFFER);
      grow(fd, UDP.SO_SNDBUFFORCE, UDP.SO_SNDBUF, SEND_BUFFER);
      set(fd, C.SOL_SOCKET, UDP.SO_RXQ_OVFL, 1);
      const grouping = groups && set(fd, UDP.SOL_UDP, UDP.UDP_SEGMENT, 0);
      if (groups) set(fd, UDP.SOL_UDP, UDP.UDP_GRO, 1);
      bind(fd, { ip: host ?? any, port }, ipv6);
      return new UdpSocket(fd, ipv6, grouping);
    } catch (thrown) {
      libc().close(fd);
      throw thrown;
    }
  }

  /** The descriptor; ready when receive() has something. */
  get fd(): number {
    if (this.#fd < 0) throw new TypeError("Cannot use UDP socket: it is disposed");
    return this.#fd;
  }

  /** Where it is bound. */
  get local(): Endpoint {
    const name = new Uint8Array(new ArrayBuffer(SOCKET_ADDRESS.room));
    const length = new Uint32Array(new ArrayBuffer(4)).fill(SOCKET_ADDRESS.room);
    const bytes = new Uint8Array(length.buffer);
    if (packetCalls().getsockname(this.fd, name, bytes) !== 0) throw callFailed("read address", lastErrno());
    return endpointAt(name, 0)!;
  }

  /** Makes an endpoint ready to be sent to; undefined when this socket cannot reach its family. `local` is the address to
   * send from. Without it the kernel chooses. The kernel also chooses when this host does not have `local` any more, unless
   * it is `fixed`. */
  peer(endpoint: Endpoint, local?: Ip, { fixed } = { fixed: false }): UdpPeer | undefined {
    if (!this.ipv6 && !isIpv4(endpoint.ip)) return undefined;
    const bytes = socketAddress(endpoint, this.ipv6);
    const usable = local !== undefined && isIpv4(local) === isIpv4(endpoint.ip) && !isLinkLocal(local);
    const source = usable ? sourceControl(local) : undefined;
    const words = new Uint32Array(bytes.buffer);
    return { endpoint, bytes, words, address: pointerOf(bytes), source, fixed };
  }

  /** Receives what is there, up to `ring.capacity` messages; `ring` then tells of them. */
  receive(): number {
    return this.ring.receive(this.fd);
  }

  /** Datagrams that the kernel threw away because its buffer was full, as far as received ones tell. */
  get lost(): number {
    return this.ring.lost;
  }

  /** Whether a message of the last receive() came from this peer. */
  isFrom(message: number, peer: UdpPeer): boolean {
    return this.ring.isFrom(message, peer.words);
  }

  /** Where a message of the last receive() came from. */
  source(message: number): Endpoint | undefined {
    return this.ring.source(message);
  }

  /** Where messages are put that are to be sent. */
  get outgoing(): Uint8Array<ArrayBuffer> {
    return this.#queue.bytes;
  }

  /** Queues the datagrams in `[from, to)` of `outgoing`, `size` octets each but the last; at most 64, of at most 65,507
   * octets together. They must stay there until flush(). `tag` comes back with what is refused. */
  queue(peer: UdpPeer, df: boolean, span: { from: number; to: number; size: number; tag: number }): void {
    const ipv6 = this.ipv6 && !isIpv4(peer.endpoint.ip);
    if (this.#queue.count > 0 && (df !== this.#queuedDf || ipv6 !== this.#queuedIpv6)) this.flush();
    this.#queuedDf = df;
    this.#queuedIpv6 = ipv6;
    if (this.#queue.add(peer, span)) return;
    this.flush();
    this.#queue.add(peer, span);
  }

  /** Sends what is queued, in its order; calls `refused` for what was not sent. */
  flush(): void {
    if (this.#queue.count === 0) return;
    const family = this.#queuedIpv6 ? 1 : 0;
    if (this.#df[family] !== this.#queuedDf) {
      setDf(this.fd, this.#queuedIpv6, this.#queuedDf);
      this.#df[family] = this.#queuedDf;
    }
    this.#queue.flush(this.fd, this.#queuedDf, this);
  }

  /** What the kernel says about the largest packet to a peer. */
  pathMtus(peer: SendAddress): RouteMtus {
    return pathMtusTo(endpointAt(peer.bytes, 0)!);
  }

  /** Closes the socket. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }
}

/** Such an address says nothing without its interface, which the endpoint names. */
function isLinkLocal(ip: Ip): boolean {
  return /^fe[89ab]/.test(ip);
}

function set(fd: number, level: number, option: number, value: number): boolean {
  return libc().setsockopt(fd, level, option, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
}

/** With DF the kernel must not believe what ICMP messages say about the path: anybody can send them, and the core proves by
 * itself what the path carries. Without DF neither, but for IPv6, whose routers fragment nothing. */
function setDf(fd: number, ipv6: boolean, df: boolean): void {
  const value = df ? UDP.PMTUDISC_PROBE : ipv6 ? UDP.PMTUDISC_DONT : UDP.PMTUDISC_OMIT;
  const [level, option] = ipv6 ? [UDP.SOL_IPV6, UDP.IPV6_MTU_DISCOVER] : [UDP.SOL_IP, UDP.IP_MTU_DISCOVER];
  if (!set(fd, level, option, value)) throw callFailed("set path MTU discovery of UDP socket", lastErrno());
}

function grow(fd: number, force: number, polite: number, octets: number): void {
  if (!set(fd, C.SOL_SOCKET, force, octets)) set(fd, C.SOL_SOCKET, polite, octets);
}

function bind(fd: number, endpoint: Endpoint, ipv6: boolean): void {
  const address = socketAddress(endpoint, ipv6);
  if (packetCalls().bind(fd, address, address.length) === 0) return;
  const errno = lastErrno();
  const action = `bind UDP socket to ${formatEndpoint(endpoint)}`;
  if (errno !== ERRNO.EADDRINUSE) throw callFailed(action, errno);
  const hint = "Another process uses the port: stop it, or choose another with --port";
  throw new MeshnetError("native/call-failed", `Cannot ${action}: the port is taken`, { hint, errno });
}
