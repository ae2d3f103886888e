/** The fast datapath on one link: proves by heartbeats that full-size frames arrive (source: spec dataplane.md 2.7). */
import { type Ip, isIpv4 } from "../../core/addr.ts";
import type { OverlayName } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { PortNo } from "../../wire/netlink/ovs_keys.ts";
import type { Vni } from "../../wire/packet/vxlan.ts";
import type { LinkXfrmNews } from "../ports/esp_port.ts";
import {
  type Beat,
  BUSY_FULL_MS,
  COMEBACK,
  COMPLAIN_AFTER_MS,
  FAST_HEARTBEAT_MS,
  FullBeats,
  HEARTBEAT_TIMEOUT_MS,
  type HeartbeatFacts,
  HOLD_HEARTBEAT_MS,
  isMissed,
  LATE_MS,
  LEAST_TIMEOUT_MS,
  MOVE_INTERVAL_MS,
  patienceAfter,
  promisedBeat,
  QUIET_BEATS,
  READY_HEARTBEAT_MS,
  SLOW_HEARTBEAT_MS,
} from "./beats.ts";
import { FASTDP_INIT_SA, FASTDP_RENEW_SA } from "./esp_session.ts";
import { ACK, DEAF, FASTDP_DEAF, FASTDP_HEARTBEAT_ACK, FASTDP_HERE, HERE } from "./fastdp_control.ts";
import type { AddressChange } from "../ports/dataplane_types.ts";
import { chosenByKernel, type FastdpLinkOptions, wireSize } from "./fastdp_link_options.ts";
import { type Ailments, whyHomeless, whyNotFastdp } from "./fastdp_words.ts";
import type { Forwarder, ForwarderEvent } from "./forwarder.ts";
import {
  encodeHeartbeat,
  encodeSmallHeartbeat,
  setFullPromise,
  setPromise,
} from "../../wire/mesh/heartbeat.ts";
import type { TunnelPath } from "../paths/network.ts";

const OLD_HEARTBEAT: HeartbeatFacts = { promise: 0, full: true };

/**
 *     idle --confirm--> testing (500 ms) --ack--> working (10 s)
 *                          |  ^                     |  ^
 *          60 s of silence |  | heartbeat           |  | heartbeat
 *                          v  |                     v  |
 *                     on hold (10 s)             on hold (10 s)
 *
 * Two ends that both can (`beat`) notice within seconds: see README. A sealed link begins to test when it has its keys.
 */
export class FastdpLink implements Forwarder {
  readonly overlay: OverlayName = "fastdp";
  #established = false;
  /** The peer says that our heartbeats arrive. */
  #acknowledged = false;
  /** The peer's heartbeats do not arrive. */
  #silent = false;
  /** The peer says that ours do not arrive. */
  #deaf = false;
  #busy = false;
  #quietBeats = 0;
  readonly #full: FullBeats;
  /** Small heartbeats arrive, full-size ones do not. */
  #fullLost = false;
  #comeback = 0;
  #excused = false;
  #patience = HEARTBEAT_TIMEOUT_MS;
  #confirmedAt: Millis | undefined;
  #tunnel: { readonly port: PortNo; readonly vni: Vni } | undefined;
  #noTunnel = "the tunnel port is not ready yet";
  /** This host no longer has the address that the connection has here. */
  #homeless = false;
  #remote: Ip;
  #movedAt = -Infinity;
  #interval = FAST_HEARTBEAT_MS;
  #nextBeat = Infinity;
  #timeoutAt = Infinity;
  #firstBeatAt: Millis | undefined;
  #beats = 0;
  #complained = false;
  #heard = false;
  /** See Forwarder for these. */
  rttMs: number | undefined;
  rttAt = -Infinity;
  heardAt = -Infinity;
  lostAt = -Infinity;
  hereAt = -Infinity;
  readonly #frame: Uint8Array<ArrayBuffer>;
  readonly #small: Uint8Array<ArrayBuffer>;

  constructor(readonly options: FastdpLinkOptions) {
    this.#remote = options.remote;
    this.#full = new FullBeats(options.beat === true);
    this.#frame = encodeHeartbeat(options.connUid, options.mtu);
    this.#small = encodeSmallHeartbeat(options.connUid);
  }

  get established(): boolean {
    return this.#established;
  }
  get onHold(): boolean {
    const { esp } = this.options;
    return this.#silent || this.#deaf || esp?.failure !== undefined || this.#homeless && esp !== undefined;
  }
  get mtu(): number {
    return this.options.mtu;
  }
  /** See Forwarder: kernels carry the tunnel's traffic, also while the peer's daemon hangs. */
  get lastResort(): TunnelPath | undefined {
    const { esp, here } = this.options;
    const hangs = here === true && this.#established && this.#silent && !this.#deaf;
    return hangs && esp?.failure === undefined && !(this.#homeless && esp !== undefined)
      ? this.path
      : undefined;
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
    if (port === undefined) return undefined;
    const { esp, local } = this.options;
    const remote = this.#remote;
    const lost = this.#homeless && esp === undefined || isIpv4(local) !== isIpv4(remote);
    return { kind: "tunnel", port, local: lost ? chosenByKernel(remote) : local, remote };
  }

  get likelyPath(): TunnelPath | undefined {
    return this.#heard && !this.onHold && this.options.esp?.ready !== false ? this.path : undefined;
  }

  why(now: Millis): string | undefined {
    const remote = this.#remote;
    const { udpPort } = this.options;
    if (!this.confirmed) return "the mesh has not confirmed the connection yet";
    const sealing = this.options.esp?.why();
    if (this.options.esp?.failure !== undefined) return sealing;
    if (this.#homeless && this.options.esp !== undefined) return whyHomeless(this.options.local);
    if (this.#tunnel === undefined) return this.#noTunnel;
    if (sealing !== undefined) return sealing;
    if (this.#established && !this.onHold) return undefined;
    const over = this.options.esp === undefined ? `UDP ${udpPort}` : "IP protocol 50 (ESP)";
    return whyNotFastdp({
      over,
      size: wireSize(this.options, remote),
      mtu: this.options.mtu,
      remote,
      established: this.#established,
      silent: this.#silent,
      fullLost: this.#fullLost,
      patience: this.#patience,
      testing: this.#firstBeatAt === undefined || now - this.#firstBeatAt < COMPLAIN_AFTER_MS,
      acknowledged: this.#acknowledged,
      heard: this.#heard,
    });
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
    const { esp } = this.options;
    if (esp === undefined) return this.#beat(now);
    return esp.failure === undefined ? esp.confirm(now) : [];
  }

  control(tag: number, payload: Uint8Array, now: Millis): readonly ForwarderEvent[] {
    if (!this.confirmed) return [];
    switch (tag) {
      case FASTDP_HEARTBEAT_ACK:
        return this.#established ? this.#change(now, { deaf: false }) : this.#answered(now);
      case FASTDP_INIT_SA:
        return this.options.esp?.init(payload, now) ?? [];
      case FASTDP_RENEW_SA:
        return this.options.esp?.renew(now) ?? [];
      case FASTDP_DEAF:
        if (this.options.beat !== true || !this.#established) return [];
        this.hereAt = now;
        return [...this.options.here === true ? [HERE] : [], ...this.#change(now, { deaf: true })];
      case FASTDP_HERE:
        this.hereAt = now;
        return [];
      default:
        return [];
    }
  }

  /** The kernel's IPsec has answered. */
  xfrm(news: LinkXfrmNews, now: Millis): readonly ForwarderEvent[] {
    const { esp } = this.options;
    if (esp === undefined) return [];
    const before = esp.ready;
    const events = esp.news(news, now);
    if (before || !esp.ready) return events;
    this.#timeoutAt = now + HEARTBEAT_TIMEOUT_MS;
    return [...events, ...this.#beat(now)];
  }

  /** Addresses of this host have gone or come. In clear the tunnel goes on from whatever address the kernel chooses, and
   * the peer follows. Sealed it cannot. */
  addressesChanged({ come, gone }: AddressChange, now: Millis): readonly ForwarderEvent[] {
    const { local } = this.options;
    const before = this.#homeless;
    const homeless = !come.includes(local) && (before || gone.includes(local));
    if (homeless !== before || homeless && come.length > 0) {
      this.#full.next = now;
      this.#nextBeat = this.#nextBeat < Infinity ? now : Infinity;
    }
    return homeless === before ? [] : [...this.#change(now, { homeless, moving: true }), { kind: "moved" }];
  }

  /** The peer is heard from this address, over whatever overlay. What is sealed for another does not reach it any more. */
  peerSeenAt(address: Ip, now: Millis): readonly ForwarderEvent[] {
    const { beat, esp } = this.options;
    if (esp === undefined || beat !== true || !this.#established || address === this.#remote) return [];
    this.#comeback = 0;
    this.#timeoutAt = Infinity;
    return this.#change(now, { silent: true, moving: true });
  }

  /** Whether traffic flows between us and the peer: it is worth a closer look at the path then. */
  setBusy(busy: boolean, now: Millis): void {
    if (busy === this.#busy || this.options.beat !== true) return;
    this.#busy = busy;
    if (busy) this.#full.next = now;
    this.#quietBeats = busy ? 0 : QUIET_BEATS;
    if (this.#established && this.#nextBeat < Infinity) this.#nextBeat = Math.min(this.#nextBeat, now);
  }

  /** A heartbeat of ours has been answered for the first time. */
  #answered(now: Millis): readonly ForwarderEvent[] {
    if (this.#acknowledged || this.#beats === 0) return [];
    this.#acknowledged = true;
    // After a second heartbeat nobody can tell which of them is answered.
    if (this.#beats === 1) [this.rttMs, this.rttAt] = [now - this.#firstBeatAt!, now];
    return this.#heard ? this.#establish(now) : [];
  }

  /** Both directions carry heartbeats. */
  #establish(now: Millis): readonly ForwarderEvent[] {
    this.#established = true;
    this.#interval = SLOW_HEARTBEAT_MS;
    // Under traffic the next ones are promised at once: until then the peer would miss none for a minute.
    const next = this.#busy ? now : now + SLOW_HEARTBEAT_MS;
    this.#full.next = next;
    if (this.#nextBeat < Infinity) this.#nextBeat = next;
    return [{ kind: "established" }];
  }

  /** A valid heartbeat of this connection came from the outer address `source`. */
  heard(source: Ip, now: Millis, facts: HeartbeatFacts = OLD_HEARTBEAT): readonly ForwarderEvent[] {
    if (!this.confirmed) return [];
    // What is sealed is sealed between two addresses.
    const { esp } = this.options;
    if (esp !== undefined && (source !== this.#remote || !esp.listening)) return [];
    const first = !this.#heard;
    const events: ForwarderEvent[] = first ? [ACK] : [];
    this.#heard = true;
    this.heardAt = now;
    if (first && this.#acknowledged) events.push(...this.#establish(now));
    if (source !== this.#remote && now - this.#movedAt >= MOVE_INTERVAL_MS) {
      this.#remote = source;
      this.#movedAt = now;
      events.push({ kind: "moved" });
    }
    events.push(...this.#alive(now, facts));
    if (first && !this.#established && this.#beats > 0) {
      this.#nextBeat = Math.min(this.#nextBeat, now + READY_HEARTBEAT_MS);
    }
    return events;
  }

  /** When the next heartbeat is missed, and whether the path is good again. */
  #alive(now: Millis, { full, promise, fullPromise = 0 }: HeartbeatFacts): readonly ForwarderEvent[] {
    const promised = this.options.beat === true && promise > 0;
    const patience = patienceAfter(promised ? promise : 0);
    this.#excused = false;
    this.#full.heard({ full, promise, fullPromise }, now);
    if (!this.#silent) {
      this.#patience = patience;
      this.#timeoutAt = Math.min(now + patience, this.#full.deadline);
      return [];
    }
    if (!full) return [];
    // One that comes alone may have slipped through; the wait for the next one is bounded.
    const inRow = now <= this.#timeoutAt ? this.#comeback + 1 : 1;
    this.#comeback = inRow;
    this.#timeoutAt = now + patience;
    if (promised && inRow < COMEBACK) return [];
    this.#patience = patience;
    const good = this.#change(now, { silent: false });
    return this.options.beat === true ? [ACK, ...good] : good;
  }

  /** What is wrong has changed. */
  #change(now: Millis, what: Ailments): readonly ForwarderEvent[] {
    const before = this.onHold;
    this.#silent = what.silent ?? this.#silent;
    this.#deaf = what.deaf ?? this.#deaf;
    this.#homeless = what.homeless ?? this.#homeless;
    if (before === this.onHold) return [];
    if (this.options.beat === true && this.#nextBeat < Infinity) this.#nextBeat = now;
    return [what.moving ? { kind: "health", good: before, moving: true } : { kind: "health", good: before }];
  }

  /** The address to which the peer moved is not its own: back to that of the connection. */
  moveBack(): readonly ForwarderEvent[] {
    if (this.#remote === this.options.remote) return [];
    this.#remote = this.options.remote;
    return [{ kind: "moved" }];
  }

  wake(now: Millis, readUntil = now): readonly ForwarderEvent[] {
    const events: ForwarderEvent[] = [];
    if (now >= this.#timeoutAt + LATE_MS && !this.#excused) {
      // This process was delayed: what came meanwhile is taken after this.
      this.#excused = true;
      this.#timeoutAt = now + LATE_MS;
    }
    if (isMissed(this.#timeoutAt, now, readUntil) && !this.#silent) {
      this.#fullLost = now >= this.#full.deadline && this.heardAt > now - LEAST_TIMEOUT_MS;
      this.#timeoutAt = Infinity;
      this.#comeback = 0;
      this.lostAt = now;
      this.#interval = SLOW_HEARTBEAT_MS;
      if (this.options.beat === true && this.#established) events.push(DEAF);
      events.push(...this.#change(now, { silent: true }));
      // It may be the keys, lost at the peer without anybody's noticing.
      events.push(...this.options.esp?.renew(now) ?? []);
    }
    if (this.options.esp !== undefined) events.push(...this.options.esp.wake(now));
    if (now >= this.#complaintAt()) this.#complained = true;
    if (now >= this.#nextBeat) events.push(...this.#beat(now));
    return events;
  }

  nextWake(): number {
    const timeout = this.#silent ? Infinity : this.#timeoutAt;
    const keys = this.options.esp?.nextWake() ?? Infinity;
    return Math.min(this.#nextBeat, timeout, this.#complaintAt(), keys);
  }

  /** When why() turns from patience to complaint. */
  #complaintAt(): number {
    if (this.#established || this.#complained || this.#firstBeatAt === undefined) return Infinity;
    return this.#firstBeatAt + COMPLAIN_AFTER_MS;
  }

  #beat(now: Millis): readonly ForwarderEvent[] {
    const path = this.path;
    if (path === undefined || this.options.esp?.ready === false) {
      this.#nextBeat = Infinity;
      return [];
    }
    const { interval, full } = this.#rhythm(now);
    this.#nextBeat = now + interval;
    this.#firstBeatAt ??= now;
    this.#beats++;
    const nextFull = this.onHold ? HOLD_HEARTBEAT_MS : this.#busy ? BUSY_FULL_MS : SLOW_HEARTBEAT_MS;
    if (full) this.#full.next = now + nextFull;
    const frame = full ? this.#frame : this.#small;
    if (this.options.beat === true) {
      setPromise(frame, this.#established ? interval : 0);
      if (full) setFullPromise(frame, this.#established ? nextFull : 0);
    }
    const tunnel = { id: this.#tunnel!.vni, src: path.local, dst: path.remote };
    const action = { kind: "tunnel", port: path.port, tunnel } as const;
    // Over IPv6 the kernel never cuts a tunnel's packets: what it believes of the route is part of the path.
    const df = full && isIpv4(path.remote);
    return [{ kind: "frame", frame, action: df ? { ...action, df } : action }];
  }

  /** When the next heartbeat is due after this one, and whether this one is of full size. */
  #rhythm(now: Millis): Beat {
    if (!this.#established || this.options.beat !== true) return { interval: this.#interval, full: true };
    if (this.onHold) return { interval: HOLD_HEARTBEAT_MS, full: true };
    const quiet = this.#quietBeats === 0 ? 0 : this.#quietBeats--;
    return promisedBeat({ busy: this.#busy, quiet, fullDue: now >= this.#full.next });
  }
}
