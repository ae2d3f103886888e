/** A TAP and a user-space path in memory. */
import type { Millis } from "../../../mod/core/time.ts";
import type {
  SleeveCounts,
  SleeveEffect,
  SleeveNews,
  SleevePort,
  TakePacket,
} from "../../../mod/overlay/ports/sleeve_port.ts";
import { TAP_NAME, TAP_PACKET, type TapPort } from "../../../mod/overlay/ports/tap_port.ts";
import type { SleeveKey, TunnelKey } from "../../../mod/wire/netlink/ovs_keys.ts";

/** Packets wait in `queue`; what was written is in `written`. */
export class FakeTap implements TapPort {
  readonly name = TAP_NAME;
  readonly fd = 30;
  readonly buffer = new Uint8Array(2 * TAP_PACKET);
  readonly queue: Uint8Array[] = [];
  readonly written: Uint8Array[] = [];
  /** Whether the kernel takes packets. */
  takes = true;
  disposed = false;
  /** Whether somebody removed the interface. */
  gone = false;
  remade = 0;

  remake(): void {
    this.gone = false;
    this.remade++;
  }
  read(at: number): number {
    const packet = this.queue.shift();
    if (packet === undefined) return 0;
    this.buffer.set(packet, at);
    return packet.length;
  }
  write(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): boolean {
    if (this.takes) this.written.push(bytes.slice(from, to));
    return this.takes;
  }
  [Symbol.dispose](): void {
    this.disposed = true;
  }
}

/** What a path was asked to send. */
export interface FakeSent {
  readonly key: SleeveKey;
  readonly packet: Uint8Array;
  readonly broadcast: boolean;
}

/** A path whose links are lists. */
export class FakePath implements SleevePort {
  readonly fds = [40, 41];
  readonly performed: SleeveEffect[] = [];
  readonly sent: FakeSent[] = [];
  readonly tunnelled: { readonly frame: Uint8Array; readonly tunnel: TunnelKey; readonly udpPort: number }[] =
    [];
  /** What the next drain() and flush() tell. */
  readonly news: SleeveNews[] = [];
  readonly late: SleeveNews[] = [];
  /** What the next drain() hands over. */
  readonly arrived: { readonly key: SleeveKey; readonly packet: Uint8Array }[] = [];
  /** What drain() was told about its descriptors. */
  ready: boolean[] = [];
  flushes = 0;
  disposed = false;

  constructor(readonly take: TakePacket) {}

  perform(effect: SleeveEffect): void {
    this.performed.push(effect);
  }
  send(
    key: SleeveKey,
    bytes: Uint8Array<ArrayBuffer>,
    span: { from: number; to: number; broadcast: boolean },
  ): void {
    this.sent.push({ key, packet: bytes.slice(span.from, span.to), broadcast: span.broadcast });
  }
  sendTunnelled(frame: Uint8Array, { tunnel, udpPort }: { tunnel: TunnelKey; udpPort: number }): void {
    this.tunnelled.push({ frame: frame.slice(), tunnel, udpPort });
  }
  drain(tell: (news: SleeveNews) => void, at: { now: Millis; isReady(index: number): boolean }): boolean {
    this.ready = this.fds.map((_, i) => at.isReady(i));
    for (const news of this.news.splice(0)) tell(news);
    for (const { key, packet } of this.arrived.splice(0)) {
      const bytes = new Uint8Array(packet.length + 4);
      bytes.set(packet, 4);
      this.take(key, bytes, 4, bytes.length);
    }
    return false;
  }
  flush(tell: (news: SleeveNews) => void): void {
    this.flushes++;
    for (const news of this.late.splice(0)) tell(news);
  }
  counts(): SleeveCounts {
    return { sentPackets: 1, sentBytes: 2, receivedPackets: 3, receivedBytes: 4, dropped: { damaged: 5 } };
  }
  [Symbol.dispose](): void {
    this.disposed = true;
  }
}
