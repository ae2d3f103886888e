/** User space's end of the TAP: misses and frames for links come from it, frames with outputs and those of links go to it.
 *
 *     programs --[ mesh-tap: frames with a tag ]-- UserEnd --[ SleevePath ]-- UDP
 */
import type { FlowAction } from "../../wire/netlink/ovs_keys.ts";
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import { VIRTIO_HEADER, VIRTIO_NEEDS_CHECKSUM } from "../../wire/packet/virtio_net.ts";
import type { SleeveCounts, SleevePort } from "../../overlay/ports/sleeve_port.ts";
import { TAP_PACKET } from "../../overlay/ports/tap_port.ts";
import { isUrgent, MissQueue, placeOf, READ_PACKETS } from "../miss_queue.ts";
import type { SleeveTags } from "../sleeve_tags.ts";
import { TaggedLinks, type UserSpace } from "../tagged_links_shell.ts";
import { isLocalMiss, isMiss, MAX_OUTPUTS, MISS, type MissHeader, readMiss } from "./layout.ts";

const MACS = 12;
/** The outer source of what came through no tunnel. */
const NO_SOURCE = "0.0.0.0";
const TAG = 4;
/** Places in a virtio header. */
const VIRTIO = { gso: 1, headers: 2, checksumStart: 6 } as const;

/** What the end is made of. */
export interface UserEndParts extends Pick<UserSpace, "openPath" | "tap"> {
  /** Puts the outputs of one frame where the programs look: the number of its tag, 0 where there are none,
   * undefined where the kernel refuses them. */
  readonly slotOf: (actions: readonly FlowAction[]) => number | undefined;
}

/** Takes misses. */
export interface TakeMisses {
  /** Decides about one; the frame is valid until it returns. */
  readonly decide: (header: MissHeader, frame: Uint8Array) => void;
  /** Where it comes from, in whose name it waits for its turn; undefined: it is nothing to anybody. */
  readonly keyOf: (header: MissHeader, frame: Uint8Array) => Parameters<typeof placeOf>[0] | undefined;
}

/** See the module's head. One thread, synchronous. */
export class UserEnd implements Disposable {
  readonly #links: TaggedLinks;
  readonly #parts: UserEndParts;
  /** Packets of misses, as they were read. */
  readonly #waiting = new MissQueue<Uint8Array>();
  /** The frame of the miss under way, where it was read to. */
  #frame: Uint8Array | undefined;
  /** For frames that are no miss under way. */
  readonly #own = new Uint8Array(new ArrayBuffer(TAP_PACKET + 64));
  /** Octets of the header in front of it. */
  #inFront = 0;
  readonly #macs = new Uint8Array(MACS);

  constructor(parts: UserEndParts) {
    this.#parts = parts;
    this.#links = new TaggedLinks(parts);
  }

  /** Which tag stands for what. */
  get tags(): SleeveTags {
    return this.#links.tags;
  }

  /** The links' end. */
  get path(): SleevePort {
    return this.#links.path;
  }

  /** Descriptor of the TAP. */
  get fd(): number {
    return this.#parts.tap.fd;
  }

  /** Reads a bounded part of what waits in the TAP, if it is ready: what is of links leaves, of misses those are decided
   * that have their turn. `emptied`: nothing is left in the TAP. `misses`: so many of local ports were read. */
  read(take: TakeMisses, ready: boolean): { readonly emptied: boolean; readonly misses: number } {
    this.#waiting.begin();
    const read = ready ? this.#readTap(take) : { emptied: true, misses: 0 };
    const { buffer } = this.#parts.tap;
    for (let packet = this.#waiting.take(); packet !== undefined; packet = this.#waiting.take()) {
      buffer.set(packet);
      const header = headerOf(buffer, packet.length);
      if (header !== undefined) this.#decide(header, packet.length, take);
    }
    return read;
  }

  #readTap(take: TakeMisses): { readonly emptied: boolean; readonly misses: number } {
    const { tap } = this.#parts;
    const { buffer } = tap;
    let misses = 0;
    for (let i = 0; i < READ_PACKETS; i++) {
      const to = tap.read(0);
      if (to === 0) return { emptied: true, misses };
      if (isMiss(buffer, VIRTIO_HEADER, to)) {
        if (isLocalMiss(buffer, VIRTIO_HEADER)) misses++;
        this.#miss(buffer, to, take);
      } else this.#links.send(to);
    }
    return { emptied: false, misses };
  }

  /** Whether misses wait that were read. */
  get waits(): boolean {
    return this.#waiting.waits;
  }

  /** Misses that were read and then lost, as too many waited. */
  get lost(): number {
    return this.#waiting.lost;
  }

  #miss(buffer: Uint8Array<ArrayBuffer>, to: number, take: TakeMisses): void {
    const header = headerOf(buffer, to);
    if (header === undefined) return;
    const frame = buffer.subarray(VIRTIO_HEADER + header.size, to);
    const urgent = isUrgent(frame, header.source !== NO_SOURCE);
    if (this.#waiting.atOnce(urgent)) return this.#decide(header, to, take);
    const key = take.keyOf(header, frame);
    if (key !== undefined) this.#waiting.keep(placeOf(key), to, () => buffer.slice(0, to));
  }

  /** The packet is where the TAP's are read to. */
  #decide(header: MissHeader, to: number, { decide }: TakeMisses): void {
    this.#frame = this.#parts.tap.buffer.subarray(VIRTIO_HEADER + header.size, to);
    this.#inFront = header.size;
    try {
      decide(header, this.#frame);
    } finally {
      this.#frame = undefined;
    }
  }

  /** Has the programs send a frame, that of the miss under way or another. */
  send(frame: Uint8Array, actions: readonly FlowAction[]): void {
    for (let i = 0; i < actions.length; i += MAX_OUTPUTS) {
      const slot = this.#parts.slotOf(actions.slice(i, i + MAX_OUTPUTS));
      if (slot === 0) continue;
      if (slot === undefined) this.#links.dropped.kernelRefused++;
      else if (frame === this.#frame) this.#sendMiss(frame, slot);
      else this.#sendOther(frame, slot);
    }
  }

  /** The frame stays where it is: only its MACs make room for the tag. */
  #sendMiss(frame: Uint8Array, slot: number): void {
    const { buffer } = this.#parts.tap;
    const frameAt = VIRTIO_HEADER + this.#inFront;
    const from = frameAt - TAG - VIRTIO_HEADER;
    this.#macs.set(frame.subarray(0, MACS));
    buffer.copyWithin(frameAt - TAG, frameAt, frameAt + MACS);
    const restHeader = buffer.slice(0, frameAt);
    const header = buffer.subarray(from, from + VIRTIO_HEADER);
    header.set(restHeader.subarray(0, VIRTIO_HEADER));
    // Octets of the tag came, those of the header in front went.
    if ((header[0]! & VIRTIO_NEEDS_CHECKSUM) !== 0) shift(header, VIRTIO.checksumStart, TAG - this.#inFront);
    if (header[VIRTIO.gso] !== 0) shift(header, VIRTIO.headers, TAG - this.#inFront + MISS.tagSize);
    putSlot(buffer, frameAt - TAG + MACS, slot);
    this.#links.write(buffer, from, frameAt + frame.length);
    buffer.set(restHeader);
    frame.set(this.#macs);
  }

  #sendOther(frame: Uint8Array, slot: number): void {
    const own = this.#own;
    const to = VIRTIO_HEADER + TAG + frame.length;
    if (to > own.length || frame.length < ETHERNET_HEADER) return void this.#links.dropped.kernelRefused++;
    own.fill(0, 0, VIRTIO_HEADER);
    own.set(frame.subarray(0, MACS), VIRTIO_HEADER);
    putSlot(own, VIRTIO_HEADER + MACS, slot);
    own.set(frame.subarray(MACS), VIRTIO_HEADER + MACS + TAG);
    this.#links.write(own, 0, to);
  }

  /** Counts of the links' end and of this one. */
  counts(): SleeveCounts {
    return this.#links.counts();
  }

  /** Sends what links have gathered. */
  flush(tell: Parameters<SleevePort["flush"]>[0]): void {
    this.path.flush(tell);
  }

  /** Receives what came over links. */
  drain(...what: Parameters<SleevePort["drain"]>): boolean {
    return this.path.drain(...what);
  }

  /** Closes the links' end and the TAP. */
  [Symbol.dispose](): void {
    this.#links[Symbol.dispose]();
  }
}

/** The header of a miss that was read; undefined: it is not whole, or its frame is not. */
function headerOf(buffer: Uint8Array, to: number): MissHeader | undefined {
  const header = readMiss(buffer.subarray(0, to), VIRTIO_HEADER);
  return header === undefined || to - VIRTIO_HEADER - header.size < ETHERNET_HEADER ? undefined : header;
}

function putSlot(bytes: Uint8Array, at: number, slot: number): void {
  bytes[at] = 0x88;
  bytes[at + 1] = 0xa8;
  bytes[at + 2] = slot >>> 8;
  bytes[at + 3] = slot;
}

/** Adds to a little-endian number of 16 bits; it does not go below zero. */
function shift(bytes: Uint8Array, at: number, by: number): void {
  const value = Math.max(0, (bytes[at]! | bytes[at + 1]! << 8) + by);
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
