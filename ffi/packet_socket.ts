/** Raw frames out of an interface. */
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { inNetns } from "./netns.ts";
import { interfaceIndex } from "./process.ts";

/** struct sockaddr_ll (linux/if_packet.h): only family, protocol (big-endian) and index matter for sending. */
function linkAddress(index: number): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, C.AF_PACKET, true);
  view.setInt32(4, index, true);
  return address;
}

/** Sends whole Ethernet frames out of interfaces of the network namespace of the calling thread, through one socket that is
 * opened with the first frame: to close one takes the kernel until no CPU can use it, up to a second on a busy machine. */
export class FrameSender implements Disposable {
  #fd = -1;
  #disposed = false;

  /** Sends a frame. Throws MeshnetError "native/call-failed", with errno ENODEV when there is no such interface. */
  send(name: string, frame: Uint8Array<ArrayBuffer>): void {
    if (this.#disposed) throw new TypeError("Cannot send frame: sender is disposed");
    const index = interfaceIndex(name);
    if (index === 0) throw callFailed(`send frame out of ${name}`, lastErrno());
    if (this.#fd < 0) this.#fd = openPacketSocket();
    sendTo(this.#fd, linkAddress(index), name, frame);
  }

  /** Closes the socket. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
    this.#disposed = true;
  }
}

function openPacketSocket(): number {
  const fd = libc().socket(C.AF_PACKET, C.SOCK_RAW | C.SOCK_CLOEXEC, 0);
  if (fd < 0) throw callFailed("open packet socket", lastErrno());
  return fd;
}

function sendTo(
  fd: number,
  address: Uint8Array<ArrayBuffer>,
  name: string,
  frame: Uint8Array<ArrayBuffer>,
): void {
  const sent = libc().sendto(fd, frame, BigInt(frame.length), C.MSG_DONTWAIT, address, address.length);
  if (sent < 0) throw callFailed(`send frame out of ${name}`, lastErrno());
}

/** Sends whole Ethernet frames out of the interface `name` in the network namespace at `netns`. Throws MeshnetError
 * "native/call-failed", with errno ENODEV when there is no such interface. */
export function sendFrames(netns: string, name: string, frames: readonly Uint8Array<ArrayBuffer>[]): void {
  inNetns(netns, () => {
    const index = interfaceIndex(name);
    if (index === 0) throw callFailed(`send frames out of ${name}`, lastErrno());
    const fd = openPacketSocket();
    try {
      const address = linkAddress(index);
      for (const frame of frames) sendTo(fd, address, name, frame);
    } finally {
      libc().close(fd);
    }
  });
}
