/** Raw Ethernet frames out of an interface, by AF_PACKET (packet(7)). Sends only: it never receives a frame. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { inNetns } from "./netns.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCKADDR_LL = 20;
const INDEX_AT = 4; // after family and protocol

/** How a packet socket is made. */
export interface PacketOptions {
  /** Name of the interface. */
  readonly interface: string;
  /** Path of the network namespace it is in; the current one if left out. */
  readonly netns?: string;
}

/** Opens a socket that sends frames out of one interface. It keeps the namespace in which it was made.
 * Throws MeshnetError "native/call-failed", also when there is no such interface. */
export function openPacketSocket(options: PacketOptions): PacketSocket {
  const make = () => new PacketSocket(options.interface);
  return options.netns === undefined ? make() : inNetns(options.netns, make);
}

/** A socket that sends frames out of one interface. Dispose it; nothing else frees its descriptor. */
export class PacketSocket implements Disposable {
  #fd: number;
  readonly #address = new Uint8Array(SOCKADDR_LL);

  /** Makes the socket in the current network namespace. */
  constructor(readonly name: string) {
    // Protocol 0: the kernel hands such a socket nothing, so its receive queue stays empty.
    this.#fd = libc().socket(AF_PACKET, SOCK_RAW | C.SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw callFailed("open packet socket", lastErrno());
    const index = libc().if_nametoindex(cString(name));
    if (index === 0) {
      const errno = lastErrno();
      this[Symbol.dispose]();
      throw callFailed(`find interface ${name}`, errno);
    }
    const view = new DataView(this.#address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setInt32(INDEX_AT, index, true);
  }

  /** Sends one whole frame, Ethernet header included, padding and checksum left out. Never waits. */
  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#fd < 0) throw new TypeError("Cannot use packet socket: it is disposed");
    const length = BigInt(frame.length);
    const sent = libc().sendto(this.#fd, frame, length, C.MSG_DONTWAIT, this.#address, SOCKADDR_LL);
    if (sent !== frame.length) throw callFailed(`send frame out of ${this.name}`, lastErrno());
  }

  /** Closes the socket. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }
}
