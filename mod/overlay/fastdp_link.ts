/** The fast datapath on one link: proves by heartbeats that full-size frames arrive (source: spec dataplane.md 2.7). */
import type { Ip } from "../core/addr.ts";
import type { ConnUid } from "../core/names.ts";
import type { OverlayName } from "../core/overlay_port.ts";
import type { Millis } from "../core/time.ts";
import type { PortNo } from "../wire/ovs_keys.ts";
import type { Vni } from "../wire/vxlan.ts";
import type { Forwarder, ForwarderEvent } from "./forwarder.ts";
import { encodeHeartbeat, VXLAN_OVERHEAD } from "./heartbeat.ts";
import type { TunnelPath } from "./network.ts";

/** Interval of heartbeats until the peer has confirmed one. */
export const FAST_HEARTBEAT_MS = 500;
/** Interval afterwards. */
export const SLOW_HEARTBEAT_MS = 10_000;
/** Without a heartbeat from the peer for this long the overlay is put on hold. */
export const HEARTBEAT_TIMEOUT_MS = 60_000;
/** The peer's address is believed to have changed at most this often: each change concerns all flows to the peer. */
export const MOVE_INTERVAL_MS = 1_000;
/** An unanswered first heartbeat is worth a complaint after this long. */
const COMPLAIN_AFTER_MS = 3_000;
/** Time from the peer's first heartbeat, with which it shows that it is ready, to our next one, if ours is unanswered:
 * sent earlier, it may have come to nothing. */
const READY_HEARTBEAT_MS = 20;
/** Control tag: your heartbeat arrived. */
export const FASTDP_HEARTBEAT_ACK = 0;

const NO_PAYLOAD = new Uint8Array(0);

/** What a fastdp link is made of. */
export interface FastdpLinkOptions {
  readonly connUid: ConnUid;
  /** Our IPv4 address on the connection. */
  readonly local: Ip;
  /** The peer's IPv4 address on the connection. */
  readonly remote: Ip;
  /** VXLAN port of this link, at both ends. */
  readonly udpPort: number;
  /** MTU of the datapath's interface. */
  readonly mtu: number;
}

/**
 *     idle --confirm--> testing (500 ms) --ack--> working (10 s)
 *                          |  ^                     |  ^
 *          60 s of silence |  | heartbeat           |  | heartbeat
 *                          v  |                     v  |
 *                     on hold (10 s)             on hold (10 s)
 */
export class FastdpLink implements Forwarder {
  readonly overlay: OverlayName = "fastdp";
  #established = false;
  #onHold = false;
  #confirmedAt: Millis | undefined;
  #tunnel: { readonly port: PortNo; readonly vni: Vni } | undefined;
  #noTunnel = "the tunnel port is not ready yet";
  #remote: Ip;
  #movedAt = -Infinity;
  #interval = FAST_HEARTBEAT_MS;
  #nextBeat = Infinity;
  #timeoutAt = Infinity;
  #firstBeatAt: Millis | undefined;
  #beats = 0;
  #complained = false;
  #heard = false;
  #rttMs: number | undefined;
  readonly #frame: Uint8Array;

  constructor(readonly options: FastdpLinkOptions) {
    this.#remote = options.remote;
    this.#frame = encodeHeartbeat(options.connUid, options.mtu);
  }

  get established(): boolean {
    return this.#established;
  }
  get onHold(): boolean {
    return this.#onHold;
  }
  get mtu(): number {
    return this.options.mtu;
  }
  get rttMs(): number | undefined {
    return this.#rttMs;
  }
  /** Whether the mesh keeps the connection. */
  get confirmed(): boolean {
    return this.#confirmedAt !== undefined;
  }
  /** The peer's address as last seen. */
  get remote(): Ip {
    return this.#remote;
  }
  get path(): TunnelPath | undefined {
    const port = this.#tunnel?.port;
    const { local } = this.options;
    return port === undefined ? undefined : { kind: "tunnel", port, local, remote: this.#remote };
  }

  why(now: Millis): string | undefined {
    const { udpPort, mtu, remote } = this.options;
    const size = mtu + VXLAN_OVERHEAD;
    if (!this.confirmed) return "the mesh has not confirmed the connection yet";
    if (this.#tunnel === undefined) return this.#noTunnel;
    if (this.#established && !this.#onHold) return undefined;
    if (this.#established) {
      return `no VXLAN heartbeat from the peer for ${HEARTBEAT_TIMEOUT_MS / 1000} s on UDP ${udpPort}: ` +
        `a firewall blocks it, or the path carries less than ${size} bytes`;
    }
    if (this.#firstBeatAt === undefined || now - this.#firstBeatAt < COMPLAIN_AFTER_MS) {
      return `testing the path with full-size VXLAN heartbeats on UDP ${udpPort}`;
    }
    if (this.#heard) {
      return `the peer's VXLAN heartbeats arrive but it does not answer ours: a firewall blocks UDP ${udpPort} ` +
        `towards ${remote}, or that direction carries less than ${size} bytes`;
    }
    return `no answer to full-size VXLAN heartbeats on UDP ${udpPort}: a firewall blocks it, ` +
      `or the path carries less than ${size} bytes`;
  }

  /** The tunnel port and the identifier for frames from us to the peer are known; or not, and why. */
  setTunnel(tunnel: { port: PortNo; vni: Vni } | string, now: Millis): readonly ForwarderEvent[] {
    if (typeof tunnel === "string") {
      this.#tunnel = undefined;
      this.#noTunnel = tunnel;
      return [];
    }
    const waited = this.#tunnel === undefined;
    this.#tunnel = tunnel;
    return waited && this.confirmed ? this.#beat(now) : [];
  }

  confirm(now: Millis): readonly ForwarderEvent[] {
    if (this.confirmed) return [];
    this.#confirmedAt = now;
    this.#timeoutAt = now + HEARTBEAT_TIMEOUT_MS;
    return this.#beat(now);
  }

  control(tag: number, _payload: Uint8Array, now: Millis): readonly ForwarderEvent[] {
    if (tag !== FASTDP_HEARTBEAT_ACK || !this.confirmed || this.#established || this.#beats === 0) return [];
    this.#established = true;
    // After a second heartbeat nobody can tell which of them is answered.
    if (this.#beats === 1) this.#rttMs = now - this.#firstBeatAt!;
    this.#interval = SLOW_HEARTBEAT_MS;
    if (this.#nextBeat < Infinity) this.#nextBeat = now + SLOW_HEARTBEAT_MS;
    return [{ kind: "established" }];
  }

  /** A valid heartbeat of this connection came from the outer address `source`. */
  heard(source: Ip, now: Millis): readonly ForwarderEvent[] {
    if (!this.confirmed) return [];
    const events: ForwarderEvent[] = [];
    const first = !this.#heard;
    if (first) events.push({ kind: "control", tag: FASTDP_HEARTBEAT_ACK, payload: NO_PAYLOAD });
    this.#heard = true;
    this.#timeoutAt = now + HEARTBEAT_TIMEOUT_MS;
    if (source !== this.#remote && now - this.#movedAt >= MOVE_INTERVAL_MS) {
      this.#remote = source;
      this.#movedAt = now;
      events.push({ kind: "moved" });
    }
    if (this.#onHold) {
      this.#onHold = false;
      events.push({ kind: "health", good: true });
    }
    if (first && !this.#established && this.#beats > 0) {
      this.#nextBeat = Math.min(this.#nextBeat, now + READY_HEARTBEAT_MS);
    }
    return events;
  }

  /** The address to which the peer moved is not its own: back to that of the connection. */
  moveBack(): readonly ForwarderEvent[] {
    if (this.#remote === this.options.remote) return [];
    this.#remote = this.options.remote;
    return [{ kind: "moved" }];
  }

  wake(now: Millis): readonly ForwarderEvent[] {
    const events: ForwarderEvent[] = [];
    if (now >= this.#timeoutAt) {
      this.#timeoutAt = Infinity;
      this.#onHold = true;
      this.#interval = SLOW_HEARTBEAT_MS;
      events.push({ kind: "health", good: false });
    }
    if (now >= this.#complaintAt()) this.#complained = true;
    if (now >= this.#nextBeat) events.push(...this.#beat(now));
    return events;
  }

  nextWake(): number {
    return Math.min(this.#nextBeat, this.#timeoutAt, this.#complaintAt());
  }

  /** When why() turns from patience to complaint. */
  #complaintAt(): number {
    if (this.#established || this.#complained || this.#firstBeatAt === undefined) return Infinity;
    return this.#firstBeatAt + COMPLAIN_AFTER_MS;
  }

  #beat(now: Millis): readonly ForwarderEvent[] {
    const path = this.path;
    if (path === undefined) {
      this.#nextBeat = Infinity;
      return [];
    }
    this.#nextBeat = now + this.#interval;
    this.#firstBeatAt ??= now;
    this.#beats++;
    const tunnel = { id: this.#tunnel!.vni, src: path.local, dst: path.remote };
    return [{ kind: "frame", frame: this.#frame, action: { kind: "tunnel", port: path.port, tunnel } }];
  }
}
