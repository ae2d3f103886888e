/** The TAP: user space's interface in the kernel, for reading and writing frames. */
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import { VIRTIO_HEADER } from "../../wire/packet/virtio_net.ts";

/** Name of the interface. */
export const TAP_NAME = "mesh-tap";

/** Octets of the longest packet: virtio header, Ethernet header, two tags, 64 KiB. */
export const TAP_PACKET: number = VIRTIO_HEADER + ETHERNET_HEADER + 2 * 4 + 65_536;

/** A TAP with virtio headers and offloads: packets may be super-packets with partial checksums, in both directions.
 * Synchronous, never waits. */
export interface TapPort extends Disposable {
  /** Name of the interface. */
  readonly name: string;
  /** Ready when read() has something. */
  readonly fd: number;
  /** Where packets are read to; always the same. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** Reads the next packet, virtio header first, to `at` of `buffer`, where TAP_PACKET octets must be left; returns its
   * octets, 0 when none waits. */
  read(at: number): number;
  /** Whether somebody removed the interface, as far as read() noticed: nothing comes and the descriptor is always ready
   * until remake(). */
  readonly gone: boolean;
  /** Makes an interface of the same name again, with the same descriptor; it is down and a port of nothing. Throws
   * when the name is taken. */
  remake(): void;
  /** Writes the packet in `[from, to)`, virtio header first; false when the kernel refused it. The octets are free again
   * after the call. */
  write(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): boolean;
}
