/** A TAP: an Ethernet interface of the kernel whose frames this process reads and writes, as super-packets. */
import { ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import { AddressCache, pointerOf, putAddress } from "./address.ts";
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls } from "./packet_symbols.ts";

const DEVICE = "/dev/net/tun";
/** What readers want in front of packets. */
const IN_FRONT = 64;
/** Longest name of an interface, without the NUL. */
const NAME_MAX = 15;

// linux/if_tun.h, linux/if.h
const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const TUNSETIFF = 0x4004_54can;
const TUNSETOFFLOAD = 0x4004_54d0n;
const IFF = { tap: 2, noPacketInfo: 0x1000, virtioHeader: 0x4000 } as const;
const OFFLOAD = { checksum: 1, tso4: 2, tso6: 4, ecn: 8, uso4: 0x20, uso6: 0x40 } as const;
const TCP_OFFLOADS = OFFLOAD.checksum | OFFLOAD.tso4 | OFFLOAD.tso6 | OFFLOAD.ecn;
const IFREQ = { size: 40, flags: 16 } as const;

/** What a TAP is opened with. */
export interface TapOptions {
  /** Name of the interface; at most 15 octets. */
  readonly name: string;
  /** Octets of the longest packet, virtio header included; the buffer has room for two. */
  readonly longest: number;
  /** Called each time the interface has been made: at first, and by remake(). */
  readonly made?: (name: string) => void;
}

/**
 * The TapPort of the data plane. Made in the network namespace of the calling thread; the interface goes when it is
 * disposed, or the process ends. It is down at first and has the kernel's MTU.
 */
export class Tap implements Disposable {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly #iovec = new Uint32Array(new ArrayBuffer(16));
  readonly #iovecAt = BigInt(pointerOf(this.#iovec));
  readonly #addresses = new AddressCache();
  #fd: number;
  #gone = false;

  private constructor(fd: number, readonly udpOffload: boolean, readonly options: TapOptions) {
    this.#fd = fd;
    this.buffer = new Uint8Array(2 * options.longest + IN_FRONT);
  }

  /** See TapPort. */
  get name(): string {
    return this.options.name;
  }

  /** See TapPort. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Makes the interface. Throws MeshnetError when the kernel has no TAPs, forbids it, or the name is taken. */
  static open(options: TapOptions): Tap {
    const { name } = options;
    const text = cString(name);
    if (text.length > NAME_MAX + 1) throw new TypeError(`Name of the interface is too long: ${name}`);
    const fd = libc().open(cString(DEVICE), O_RDWR | O_NONBLOCK | C.O_CLOEXEC);
    if (fd < 0) throw noDevice(lastErrno());
    try {
      const tap = new Tap(fd, makeInterface(fd, name), options);
      options.made?.(name);
      return tap;
    } catch (thrown) {
      libc().close(fd);
      throw thrown;
    }
  }

  /** See TapPort. */
  get fd(): number {
    if (this.#fd < 0) throw new TypeError("Cannot use TAP: it is disposed");
    return this.#fd;
  }

  /** See TapPort. */
  read(at: number): number {
    const { longest } = this.options;
    if (at < 0 || at + longest > this.buffer.length) throw new RangeError(`No room for a packet: ${at}`);
    this.#point(this.buffer, at, longest);
    const length = packetCalls().readv(this.fd, this.#iovecAt, 1);
    if (length >= 0) return length;
    const errno = lastErrno();
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR || errno === ERRNO.EIO) return 0; // EIO: it is down
    if (errno !== ERRNO.EBADFD) throw callFailed(`read from ${this.name}`, errno);
    this.#gone = true;
    return 0;
  }

  /** See TapPort. */
  remake(): void {
    makeInterface(this.fd, this.name);
    this.#gone = false;
    this.options.made?.(this.name);
  }

  /** See TapPort. */
  write(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): boolean {
    if (from < 0 || from >= to || to > bytes.length) {
      throw new RangeError(`No packet there: ${from} to ${to}`);
    }
    this.#point(bytes, from, to - from);
    return packetCalls().writev(this.fd, this.#iovecAt, 1) === to - from;
  }

  #point(bytes: Uint8Array<ArrayBuffer>, at: number, length: number): void {
    putAddress(this.#iovec, 0, this.#addresses.of(bytes) + at);
    this.#iovec[2] = length;
  }

  /** Removes the interface. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }
}

/** Makes the interface of a descriptor. Returns whether it takes super-packets of UDP. */
function makeInterface(fd: number, name: string): boolean {
  const request = new Uint8Array(new ArrayBuffer(IFREQ.size));
  request.set(cString(name));
  const flags = IFF.tap | IFF.noPacketInfo | IFF.virtioHeader;
  new DataView(request.buffer).setInt16(IFREQ.flags, flags, true);
  if (packetCalls().ioctl(fd, TUNSETIFF, request) !== 0) throw notMade(name, lastErrno());
  const udp = setOffloads(fd, TCP_OFFLOADS | OFFLOAD.uso4 | OFFLOAD.uso6);
  if (!udp && !setOffloads(fd, TCP_OFFLOADS)) throw callFailed(`set offloads of ${name}`, lastErrno());
  return udp;
}

function setOffloads(fd: number, offloads: number): boolean {
  return packetCalls().ioctl_value(fd, TUNSETOFFLOAD, BigInt(offloads)) === 0;
}

function noDevice(errno: number): MeshnetError {
  const missing = errno === ERRNO.ENOENT || errno === ERRNO.ENODEV || errno === ERRNO.ENXIO;
  if (!missing) return callFailed(`open ${DEVICE}`, errno);
  const hint = `Load the kernel's module: modprobe tun; in a container: give it the device ${DEVICE}`;
  return new MeshnetError("native/call-failed", `Cannot open ${DEVICE}: this kernel has no TAP interfaces`, {
    hint,
    errno,
  });
}

function notMade(name: string, errno: number): MeshnetError {
  if (errno !== ERRNO.EBUSY) return callFailed(`make interface ${name}`, errno);
  const hint = "Another process uses it: stop that, or see whether meshnet runs already";
  return new MeshnetError("native/call-failed", `Cannot make interface ${name}: its name is in use`, {
    hint,
    errno,
  });
}
