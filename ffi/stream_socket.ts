/** Sockets that talk to one other end, TCP or UDP, and TCP sockets that wait for such. Nothing here waits. */
import { type Endpoint, formatEndpoint, type Ip, isIpv4 } from "../mod/core/addr.ts";
import { describeErrno, ERRNO, isUsedUp } from "../mod/core/errno.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { endpointAt, SOCKET_ADDRESS, socketAddress } from "./socket_address.ts";

const SYMBOLS = {
  listen: { parameters: ["i32", "i32"], result: "i32" }, // int listen(int, int)
  // int accept4(int, struct sockaddr *, socklen_t *, int)
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const calls = () => opened ??= openLibrary("libc", SYMBOLS).symbols;

const SOCK_STREAM = 1;
const SO_REUSEADDR = 2;
const BACKLOG = 64;
const KIND = C.SOCK_CLOEXEC | UDP.SOCK_NONBLOCK;

function open(type: number, endpoint: Endpoint): number {
  const fd = libc().socket(isIpv4(endpoint.ip) ? UDP.AF_INET : UDP.AF_INET6, type | KIND, 0);
  if (fd < 0) throw callFailed("make socket", lastErrno());
  return fd;
}

function set(fd: number, level: number, option: number): void {
  libc().setsockopt(fd, level, option, new Uint8Array(Int32Array.of(1).buffer), 4);
}

/** One connection; over UDP a socket with a port that the system draws, which hears of one other end alone. */
export class StreamSocket implements Disposable {
  #fd: number;
  #errno = 0;

  /** Takes a descriptor over. `remote` is the other end. */
  constructor(fd: number, readonly remote: Endpoint) {
    this.#fd = fd;
  }

  /** Begins to connect, from an address of this end if it is given. Output is ready once that has worked or failed. Throws
   * where it cannot work. */
  static connect(transport: "udp" | "tcp", remote: Endpoint, from?: Ip): StreamSocket {
    const fd = open(transport === "udp" ? C.SOCK_DGRAM : SOCK_STREAM, remote);
    if (from !== undefined) {
      const own = socketAddress({ ip: from, port: 0 }, !isIpv4(from));
      if (packetCalls().bind(fd, own, own.length) !== 0) {
        const errno = lastErrno();
        libc().close(fd);
        throw callFailed(`bind to ${from}`, errno);
      }
    }
    const address = socketAddress(remote, !isIpv4(remote.ip));
    if (packetCalls().connect(fd, address, address.length) === 0) return new StreamSocket(fd, remote);
    const errno = lastErrno();
    if (errno === ERRNO.EINPROGRESS) return new StreamSocket(fd, remote);
    libc().close(fd);
    throw callFailed(`connect to ${formatEndpoint(remote)}`, errno);
  }

  /** Descriptor, to wait on. */
  get fd(): number {
    return this.#fd;
  }

  /** This end, as far as the system has chosen one. */
  get local(): Endpoint | undefined {
    const address = new Uint8Array(new ArrayBuffer(SOCKET_ADDRESS.room));
    const length = new Uint8Array(Uint32Array.of(SOCKET_ADDRESS.room).buffer);
    return packetCalls().getsockname(this.#fd, address, length) === 0 ? endpointAt(address, 0) : undefined;
  }

  /** Why it has failed, for people; undefined while it has not. */
  get failure(): string | undefined {
    return this.#errno === 0 ? undefined : describeErrno(this.#errno);
  }

  /** Reads into a buffer of more than 64 octets; how many octets, 0 at the end, -1 when there is nothing yet, -2 when the
   * connection has failed. */
  read(into: Uint8Array<ArrayBuffer>): number {
    return this.#resultOf(libc().recv(this.#fd, into, BigInt(into.length), C.MSG_DONTWAIT));
  }

  /** Sends; how many octets were taken, -1 when there is no room, -2 when the connection has failed. */
  write(bytes: Uint8Array<ArrayBuffer>): number {
    return this.#resultOf(
      libc().send(this.#fd, bytes, BigInt(bytes.length), C.MSG_DONTWAIT | C.MSG_NOSIGNAL),
    );
  }

  /** Closes it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }

  #resultOf(count: number): number {
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return -1;
    this.#errno = errno;
    return -2;
  }
}

/** A TCP socket on which others connect. */
export class StreamListener implements Disposable {
  readonly #address = new Uint8Array(new ArrayBuffer(SOCKET_ADDRESS.room));
  readonly #length = new Uint32Array(1);
  readonly #lengthBytes = new Uint8Array(this.#length.buffer);
  #fd: number;

  /** Binds a socket to an address and port. Throws "native/call-failed" with the error number. */
  constructor(endpoint: Endpoint) {
    this.#fd = open(SOCK_STREAM, endpoint);
    const ipv6 = !isIpv4(endpoint.ip);
    set(this.#fd, C.SOL_SOCKET, SO_REUSEADDR);
    if (ipv6) set(this.#fd, UDP.SOL_IPV6, UDP.IPV6_V6ONLY);
    const address = socketAddress(endpoint, ipv6);
    if (
      packetCalls().bind(this.#fd, address, address.length) === 0 && calls().listen(this.#fd, BACKLOG) === 0
    ) return;
    const errno = lastErrno();
    this[Symbol.dispose]();
    throw callFailed(`answer names on ${formatEndpoint(endpoint)}, TCP`, errno);
  }

  /** Descriptor, to wait on. */
  get fd(): number {
    return this.#fd;
  }

  /** The next connection; undefined when there is none, and "full" when no descriptors or memory are left for it: it
   * waits on, and would be ready again at once. */
  accept(): StreamSocket | "full" | undefined {
    this.#length[0] = SOCKET_ADDRESS.room;
    const fd = calls().accept4(this.#fd, this.#address, this.#lengthBytes, KIND);
    if (fd >= 0) return new StreamSocket(fd, endpointAt(this.#address, 0)!);
    return isUsedUp(lastErrno()) ? "full" : undefined;
  }

  /** Closes it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }
}
