/** Frames of peers that are larger than containers here take: cut into fragments, or answered as a router would. The kernel
 * would drop them without a word. */
import { finishSum, sumWords } from "../core/checksum.ts";
import { SLEEVE_HEADROOM } from "../overlay/ports/sleeve_port.ts";
import type { PeerNumber } from "../wire/mesh/sleeve.ts";
import { ETHERNET_HEADER, ETHERTYPE } from "../wire/packet/ethernet.ts";
import { LONGEST_TOO_BIG, writeFragNeeded, writePacketTooBig } from "../wire/packet/icmp_too_big.ts";
import { IPV4_DF, ipv4HeaderOf, isIpv6, putU16, u16At } from "../wire/packet/inner_frame.ts";
import { Ipv4Fragmenter } from "../wire/packet/inner_ipv4.ts";
import { TransportLayout } from "../wire/packet/transport.ts";
import { VIRTIO_HEADER } from "../wire/packet/virtio_net.ts";

/** Octets of a VLAN tag, which interfaces take beyond their MTU. */
const VLAN_TAG = 4;
/** Where frames are written: room in front for what the taker of a packet may write there. */
const FRAME = SLEEVE_HEADROOM + VIRTIO_HEADER;

/** What it is made of. Packets have a virtio header in front, and are gone after the call. */
export interface LocalFitParts {
  /** MTU of containers here. */
  readonly mtu: number;
  /** Our own number: answers bear it as their address. */
  readonly self: PeerNumber;
  /** Takes a packet for containers here. */
  readonly deliver: (bytes: Uint8Array<ArrayBuffer>, from: number, to: number) => void;
  /** Takes a packet for the sender. */
  readonly answer: (bytes: Uint8Array<ArrayBuffer>, from: number, to: number) => void;
  /** A frame was not delivered. */
  readonly drop: () => void;
}

/** See the module's head. */
export class LocalFit {
  readonly #parts: LocalFitParts;
  readonly #longest: number;
  readonly #fragmenter = new Ipv4Fragmenter();
  readonly #layout = new TransportLayout();
  /** Made when it is needed first: with one MTU everywhere it never is. */
  #out: Uint8Array<ArrayBuffer> | undefined;

  constructor(parts: LocalFitParts) {
    this.#parts = parts;
    this.#longest = parts.mtu + ETHERNET_HEADER;
  }

  /** Whether containers here take the frame in `[from, to)`. Cheap. */
  takes(bytes: Uint8Array, from: number, to: number): boolean {
    const over = to - from - this.#longest;
    return over <= 0 || over <= VLAN_TAG && u16At(bytes, from + 12) === ETHERTYPE.vlan;
  }

  /** Delivers what it can of a frame that they do not take. `partial`: its transport checksum is; it is completed in place. */
  fit(bytes: Uint8Array<ArrayBuffer>, from: number, to: number, partial: boolean): void {
    const { answer, deliver, drop, mtu } = this.#parts;
    const out = this.#out ??= new Uint8Array(FRAME + Math.max(this.#longest, LONGEST_TOO_BIG));
    out.fill(0, 0, FRAME);
    const ipv4 = ipv4HeaderOf(bytes, from, to) > 0;
    if (ipv4 && (u16At(bytes, from + ETHERNET_HEADER + 6) & IPV4_DF) === 0) {
      if (partial) this.#complete(bytes, from, to);
      if (!this.#fragmenter.start(bytes, from, to, mtu)) return drop();
      for (let length; (length = this.#fragmenter.next(out, FRAME)) > 0;) {
        deliver(out, SLEEVE_HEADROOM, FRAME + length);
        out.fill(0, 0, FRAME);
      }
      return;
    }
    drop();
    const write = ipv4 ? writeFragNeeded : isIpv6(bytes, from, to) ? writePacketTooBig : undefined;
    const length = write?.(bytes, from, to, { mtu, out, at: FRAME }) ?? 0;
    if (length === 0) return;
    // Whoever has the destination's address may be elsewhere: nobody is to learn that it is here.
    const { self } = this.#parts;
    out[FRAME + 6] = Math.floor(self / 2 ** 40) & 0xfe; // one station, not a group
    for (let i = 1; i < 6; i++) out[FRAME + 6 + i] = Math.floor(self / 2 ** (40 - 8 * i));
    answer(out, SLEEVE_HEADROOM, FRAME + length);
  }

  #complete(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    if (!this.#layout.locate(bytes, from, to)) return;
    const { checksumOffset, transport } = this.#layout;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const sum = finishSum(sumWords(view, from + transport, to));
    // Of UDP a checksum of zero would say that there is none; TCP does not mind the other form of zero.
    putU16(bytes, from + transport + checksumOffset, sum === 0 ? 0xffff : sum);
  }
}
