/** Frames into datagrams into messages of the socket: fills packets, seals them, groups equal ones. Keeps the order. */
import {
  FRAME_HEADER,
  MAX_PAYLOAD,
  PacketWriter,
  type PeerNumber,
  PLAIN_FRAMES,
  SEALED_FRAMES,
} from "../wire/mesh/sleeve.ts";
import type { EngineLink } from "./sleeve_engine_link.ts";
import { MESSAGE_DATAGRAMS, MESSAGE_OCTETS, type SleeveSocket } from "./sleeve_socket.ts";

/**
 * Builds in the socket's buffer, from its start; what is complete waits for flush().
 *
 *     | messages queued | train: equal datagrams, perhaps more to come | packet: frames, perhaps more to come | free
 */
export class Outbox {
  /** Where frames are written. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Packets sent, and their octets: in an array of doubles, as code made for small integers would be thrown away. */
  readonly #sent = new Float64Array(2);
  readonly #socket: SleeveSocket;
  readonly #self: PeerNumber;
  readonly #drop: (reason: string, count?: number) => void;
  readonly #usedUp: (link: EngineLink) => void;
  readonly #larger: (link: EngineLink) => boolean;
  readonly #writer = new PacketWriter();
  readonly #span = { from: 0, to: 0, size: 0, tag: 0 };
  /** The link whose packet or train is open. */
  #link: EngineLink | undefined;
  #df = false;
  #packetOpen = false;
  /** Behind everything that is complete. */
  #end = 0;
  #trainFrom = 0;
  #trainSize = 0;
  #trainCount = 0;

  constructor(
    socket: SleeveSocket,
    more: {
      readonly self: PeerNumber;
      readonly drop: (reason: string, count?: number) => void;
      /** The link needs another key soon; may be told often. */
      readonly usedUp: (link: EngineLink) => void;
      /** A larger datagram of traffic than the core knows of goes out, and the core does not look by itself;
       * false: it could not be told. */
      readonly larger: (link: EngineLink) => boolean;
    },
  ) {
    this.#socket = socket;
    this.bytes = socket.outgoing;
    this.#self = more.self;
    this.#drop = more.drop;
    this.#usedUp = more.usedUp;
    this.#larger = more.larger;
  }

  /** Packets sent. */
  get packets(): number {
    return this.#sent[0]!;
  }

  /** Their octets. */
  get octets(): number {
    return this.#sent[1]!;
  }

  /** What follows goes over this link, with DF or without. */
  direct(link: EngineLink, df: boolean): void {
    if (link === this.#link && df === this.#df) return;
    this.seal();
    this.#closeTrain();
    this.#link = link;
    this.#df = df;
  }

  /** Room for a frame from one peer to another, which the caller then writes whole; -1: it is too long to be sent.
   * `flag`: see PacketWriter.reserve(). */
  reserve(src: PeerNumber, dst: PeerNumber, length: number, flag: number): number {
    const writer = this.#writer;
    if (this.#packetOpen) {
      if (writer.fits(length)) return writer.reserve(src, dst, length, flag);
      this.seal();
    }
    const link = this.#link!;
    const sealed = link.sealed !== undefined;
    const least = (sealed ? SEALED_FRAMES : PLAIN_FRAMES) + FRAME_HEADER + length;
    if (least > MAX_PAYLOAD) return -1;
    const limit = Math.max(link.limit, least);
    if (this.#end + limit > this.bytes.length) this.flush();
    writer.start(this.bytes, this.#end, { sender: this.#self, sealed, limit });
    this.#packetOpen = true;
    return writer.reserve(src, dst, length, flag);
  }

  /** Completes the open packet: what is reserved next starts another. */
  seal(): void {
    if (!this.#packetOpen) return;
    this.#packetOpen = false;
    const { from, to } = this.#writer;
    const link = this.#link!;
    if (link.sealed !== undefined && !link.sealed.seal(this.bytes, from, to, this.#df)) {
      return this.#drop("key-used-up");
    }
    const size = to - from;
    const { limit, use } = link;
    if (size > use.largest) this.#note(link, Math.min(size, limit));
    this.#toTrain(size, size > limit);
    this.#end = to;
  }

  /** Sizes beyond the limit are cut on their way: then the limit counts. */
  #note(link: EngineLink, size: number): void {
    const { use } = link;
    if (size <= use.largest) return;
    use.largest = size;
    if (use.asleep && this.#larger(link)) use.asleep = false;
  }

  /** Completes the open packet and lets it travel alone. */
  sealAlone(): void {
    this.seal();
    this.#closeTrain();
  }

  /** Sends everything. */
  flush(): void {
    this.sealAlone();
    this.#socket.flush();
    this.#end = 0;
  }

  /** Octets that wait. */
  get waiting(): number {
    return this.#packetOpen ? this.#writer.to : this.#end;
  }

  /** The packet of this size behind the train, which it joins if it may. */
  #toTrain(size: number, alone: boolean): void {
    const octets = this.#end - this.#trainFrom;
    const ends = size > this.#trainSize || octets + size > MESSAGE_OCTETS;
    if (this.#trainCount > 0 && (alone || ends)) this.#closeTrain();
    if (this.#trainCount === 0) {
      this.#trainFrom = this.#end;
      this.#trainSize = size;
    }
    this.#trainCount++;
    this.#sent[0]!++;
    this.#sent[1]! += size;
    if (!alone && size === this.#trainSize && this.#trainCount < MESSAGE_DATAGRAMS) return;
    const end = this.#end;
    this.#end += size;
    this.#closeTrain();
    this.#end = end;
  }

  #closeTrain(): void {
    if (this.#trainCount === 0) return;
    const link = this.#link!;
    const { sealed, target } = link;
    if (sealed !== undefined && sealed.rekeyNeeded) this.#usedUp(link);
    if (target === undefined) this.#drop("no-address", this.#trainCount);
    else {
      const span = this.#span;
      span.from = this.#trainFrom;
      span.to = this.#end;
      span.size = this.#trainSize;
      span.tag = link.id;
      this.#socket.queue(target, this.#df, span);
    }
    this.#trainCount = 0;
  }
}
