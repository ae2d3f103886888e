/** The user-space path on one link: is it alive, where is the peer, what does the path carry (source: spec dataplane.md 5.4 to 5.7). */
import type { Endpoint } from "../../core/addr.ts";
import type { OverlayName } from "../../core/overlay_port.ts";
import { after, type Millis } from "../../core/time.ts";
import { type SleeveOverheads, sleeveOverheads } from "../../wire/mesh/sleeve.ts";
import {
  decodeVerifiedMtu,
  encodeVerifiedMtu,
  SLEEVE_CONTROL,
  type SpecialFrame,
} from "../../wire/mesh/sleeve_special.ts";
import {
  COMPLAIN_AFTER_MS,
  FAST_HEARTBEAT_MS,
  HEARTBEAT_TIMEOUT_MS,
  MOVE_INTERVAL_MS,
  READY_HEARTBEAT_MS,
  SLOW_HEARTBEAT_MS,
} from "./beats.ts";
import type { Forwarder, ForwarderEvent } from "./forwarder.ts";
import { PathSize } from "./path_size.ts";
import type { PortNo } from "../../wire/netlink/ovs_keys.ts";
import type { SleevePath } from "../paths/network.ts";
import { type Channel, chooseChannel, type FrameSpan } from "../ports/sleeve_channel.ts";
import type { LinkUse, PathMtus } from "../ports/sleeve_port.ts";
import type { SleeveLinkOptions } from "./sleeve_link_options.ts";
import { SleeveWatch } from "./sleeve_watch.ts";
import { whyNotSleeve } from "./sleeve_words.ts";

export type { SleeveLinkOptions } from "./sleeve_link_options.ts";

const NO_PAYLOAD = new Uint8Array(0);
/** The path's answers are of no use before it is known. */
const NO_EVENTS: readonly SleeveEvent[] = [];

/** What a sleeve link wants done, or has found out. If the kernel refuses a special frame for its size, as it is meant to
 * do with the largest, call tooBig(). */
export type SleeveEvent = Exclude<ForwarderEvent, { readonly kind: "frame" }>;

/**
 *     idle --confirm--> testing (500 ms) --answer--> working (10 s, MTU search, tests of fragments)
 *                          |  ^                          |  ^
 *          60 s of silence |  | heartbeat                |  | heartbeat
 *                          v  |                          v  |
 *                     on hold (10 s)                  on hold (10 s)
 *
 * Two ends that both know beats (`beat`) ask and answer once the link works, see SleeveWatch. The owner of the sockets
 * calls received() for each special frame of the peer that came in a packet of this link, from any address. It calls
 * channel() for each frame to send, and keeps `use`.
 */
export class SleeveLink implements Forwarder {
  readonly overlay: OverlayName = "sleeve";
  readonly overheads: SleeveOverheads;
  readonly #size: PathSize;
  readonly #watch: SleeveWatch | undefined;
  #remote: Endpoint | undefined;
  #movedAt = -Infinity;
  #confirmed = false;
  #port: PortNo | undefined;
  #established = false;
  /** The peer says that it hears us. */
  #acknowledged = false;
  #onHold = false;
  /** On hold because questions were not answered. */
  #unanswered = false;
  #heard = false;
  #interval = FAST_HEARTBEAT_MS;
  #nextBeat = Infinity;
  #timeoutAt = Infinity;
  #firstBeatAt: Millis | undefined;
  #beats = 0;
  #complained = false;
  #rttMs: number | undefined;
  #rttAt = -Infinity;
  #heardAt = -Infinity;

  constructor(readonly options: SleeveLinkOptions) {
    this.overheads = sleeveOverheads(options);
    if (options.beat === true) this.#watch = new SleeveWatch(options.connUid);
    const { overheads } = this;
    this.#size = new PathSize({ overheads, fragTestMs: options.fragTestMs, watch: this.#watch });
    if (options.outbound) this.#remote = options.remote;
  }

  get established(): boolean {
    return this.#established;
  }
  get onHold(): boolean {
    return this.#onHold;
  }
  get mtu(): number {
    return this.#size.mtu;
  }
  get rttMs(): number | undefined {
    return this.#watch?.rttMs ?? this.#rttMs;
  }
  get rttAt(): number {
    return this.#watch?.rttAt ?? this.#rttAt;
  }
  get heardAt(): number {
    return this.#heardAt;
  }
  get provenAt(): number {
    return this.#watch?.answeredAt ?? Infinity;
  }
  /** Whether the mesh keeps the connection; packets that come before are to be dropped. */
  get confirmed(): boolean {
    return this.#confirmed;
  }
  /** Where to send to; undefined until the peer's first heartbeat if it dialled us. */
  get remote(): Endpoint | undefined {
    return this.#remote;
  }
  /** Through user space's port of the datapath. */
  get path(): SleevePath | undefined {
    const port = this.#port;
    return port === undefined ? undefined : { kind: "sleeve", port, link: this.options.link };
  }
  get likelyPath(): SleevePath | undefined {
    return this.#heard && this.#remote !== undefined && !this.#onHold ? this.path : undefined;
  }
  /** Which port of the datapath leads to user space. */
  setPort(port: PortNo | undefined): void {
    this.#port = port;
  }
  /** Largest UDP payload with DF. */
  get maxPayload(): number {
    return this.#size.maxPayload;
  }
  /** What user space says about the datagrams that it sends. */
  get use(): LinkUse {
    return this.#size.use;
  }
  /** Whether the MTU will probably rise again in a moment. */
  get unsettled(): boolean {
    return this.#size.unsettled;
  }
  /** Whether large datagrams arrive when they are fragmented on the way. */
  get fragmentsArrive(): boolean {
    return this.#size.fragmentsArrive;
  }

  /** How a frame is to be sent. */
  channel(frame: FrameSpan): Channel {
    return this.#remote === undefined ? "drop" : chooseChannel(frame, this);
  }

  why(now: Millis): string | undefined {
    const { remote, outbound } = this.options;
    if (!this.#confirmed) return "the mesh has not confirmed the connection yet";
    if (this.#established && !this.#onHold) return undefined;
    const testing = this.#firstBeatAt === undefined || now - this.#firstBeatAt < COMPLAIN_AFTER_MS;
    const facts = {
      testing,
      established: this.#established,
      acknowledged: this.#acknowledged,
      port: this.options.port,
      heard: this.#heard,
      unanswered: this.#unanswered,
    };
    return whyNotSleeve({ ...facts, outbound, dialled: remote, remote: this.#remote });
  }

  confirm(now: Millis): readonly SleeveEvent[] {
    if (this.#confirmed) return NO_EVENTS;
    this.#confirmed = true;
    this.#timeoutAt = after(now, HEARTBEAT_TIMEOUT_MS);
    return this.#beat(now);
  }

  control(tag: number, payload: Uint8Array, now: Millis): readonly SleeveEvent[] {
    if (!this.#confirmed) return NO_EVENTS;
    switch (tag) {
      case SLEEVE_CONTROL.established:
        return this.#answered(now);
      case SLEEVE_CONTROL.fragmentsArrive:
        this.#size.fragments();
        return NO_EVENTS;
      case SLEEVE_CONTROL.mtuVerified: {
        const mtu = decodeVerifiedMtu(payload);
        return mtu.ok ? this.#size.verified(mtu.value, now) : NO_EVENTS;
      }
      default: {
        if (this.#watch === undefined) return NO_EVENTS;
        const { events, answered } = this.#watch.control(tag, payload, now);
        return answered ? [...events, ...this.#back()] : events;
      }
    }
  }

  /** A special frame of the peer for us came from `source`. */
  received(frame: SpecialFrame, source: Endpoint, now: Millis): readonly SleeveEvent[] {
    if (!this.#confirmed) return NO_EVENTS;
    switch (frame.kind) {
      case "heartbeat":
        return frame.connUid === this.options.connUid ? this.#alive(source, now) : NO_EVENTS;
      case "beat":
        return frame.connUid === this.options.connUid ? this.#beaten(frame, source, now) : NO_EVENTS;
      case "frag-test":
        return [{ kind: "control", tag: SLEEVE_CONTROL.fragmentsArrive, payload: NO_PAYLOAD }];
      case "mtu-probe":
        return this.#verified(frame.mtu);
      case "mtu-verified":
        return this.#watch !== undefined && frame.connUid === this.options.connUid
          ? this.#size.verified(frame.mtu, now)
          : NO_EVENTS;
    }
  }

  /** Says that the peer's packets of this size arrive. */
  #verified(mtu: number): readonly SleeveEvent[] {
    // A peer of another make takes it for the largest packet of its containers. Ours also fill datagrams up to it.
    if (this.#watch === undefined && mtu > (this.options.mtu ?? Infinity)) return NO_EVENTS;
    const { connUid } = this.options;
    const control = {
      kind: "control",
      tag: SLEEVE_CONTROL.mtuVerified,
      payload: encodeVerifiedMtu(mtu),
    } as const;
    if (this.#watch === undefined || this.#remote === undefined) return [control];
    return [control, { kind: "special", df: true, frame: { kind: "mtu-verified", connUid, mtu } }];
  }

  #beaten(
    { ask, seq }: Extract<SpecialFrame, { kind: "beat" }>,
    source: Endpoint,
    now: Millis,
  ): readonly SleeveEvent[] {
    if (this.#watch === undefined) return NO_EVENTS;
    const events = this.#alive(source, now);
    if (ask) return [...events, ...this.#watch.asked(seq, now, this.#onHold)];
    return this.#watch.answered(seq, now) ? [...events, ...this.#back()] : events;
  }

  /** The peer has answered: what we send arrives. */
  #back(): readonly SleeveEvent[] {
    if (!this.#onHold) return NO_EVENTS;
    this.#onHold = this.#unanswered = false;
    return [{ kind: "health", good: true }, ...this.#size.look()];
  }

  /** A packet of traffic goes out. Cheap, as it is called for each packet. True: call trafficBegins(). */
  carried(): boolean {
    return this.#watch?.carried() ?? false;
  }

  /** Something genuine came from the peer. Cheap, for each batch. */
  heard(now: Millis): void {
    this.#heardAt = now;
    this.#watch?.heard(now);
  }

  /** Traffic goes out after a time without. */
  trafficBegins(now: Millis): readonly SleeveEvent[] {
    this.#size.trafficBegins(now);
    return this.#onHold ? NO_EVENTS : this.#watch?.trafficBegins(now) ?? NO_EVENTS;
  }

  verify(now: Millis): readonly SleeveEvent[] {
    if (this.#onHold) return NO_EVENTS;
    return [...this.#size.check(now), ...this.#watch?.verify(now) ?? NO_EVENTS];
  }

  ask(now: Millis): readonly SleeveEvent[] {
    return this.#onHold ? NO_EVENTS : this.#watch?.announce(now) ?? NO_EVENTS;
  }

  /** Our own address may have changed: the peer shall hear of it now. */
  announce(now: Millis): readonly SleeveEvent[] {
    if (!this.#confirmed || this.#remote === undefined) return NO_EVENTS;
    this.#remote = { ...this.#remote }; // the address to send from may be back
    return this.#established && this.#watch !== undefined ? this.#watch.announce(now) : this.#beat(now);
  }

  /** The kernel refused a DF packet of this link, see PathSize.refused(). */
  tooBig(mtus: PathMtus, now: Millis): readonly SleeveEvent[] {
    return this.#size.refused(mtus, now);
  }

  wake(now: Millis): readonly SleeveEvent[] {
    const events: SleeveEvent[] = [];
    if (now >= this.#timeoutAt) {
      this.#timeoutAt = Infinity;
      if (!this.#onHold) events.push({ kind: "health", good: false });
      this.#onHold = true;
      this.#interval = SLOW_HEARTBEAT_MS;
      this.#size.lost();
    }
    if (this.#watch !== undefined && now >= this.#watch.nextWake()) {
      const { events: more, lost } = this.#watch.wake(now);
      events.push(...more);
      if (lost && !this.#onHold) {
        this.#onHold = this.#unanswered = true;
        this.#size.lost();
        events.push({ kind: "health", good: false });
      }
    }
    if (now >= this.#complaintAt()) this.#complained = true;
    if (now >= this.#nextBeat) events.push(...this.#beat(now));
    if (now >= this.#size.nextWake()) {
      events.push(...this.#size.wake(now, this.#established && !this.#onHold));
    }
    return events;
  }

  nextWake(): number {
    const watch = this.#watch?.nextWake() ?? Infinity;
    const size = this.#size.nextWake();
    return Math.min(this.#nextBeat, this.#timeoutAt, size, this.#complaintAt(), watch);
  }

  /** When why() turns from patience to complaint. */
  #complaintAt(): number {
    if (this.#established || this.#complained || this.#firstBeatAt === undefined) return Infinity;
    return this.#firstBeatAt + COMPLAIN_AFTER_MS;
  }

  /** The peer hears us. */
  #answered(now: Millis): readonly SleeveEvent[] {
    if (this.#acknowledged || this.#beats === 0) return NO_EVENTS;
    this.#acknowledged = true;
    // After a second heartbeat nobody can tell which of them is answered.
    if (this.#beats === 1) [this.#rttMs, this.#rttAt] = [now - this.#firstBeatAt!, now];
    return this.#heard ? this.#establish(now) : NO_EVENTS;
  }

  /** Both directions carry packets. */
  #establish(now: Millis): readonly SleeveEvent[] {
    this.#established = true;
    this.#interval = SLOW_HEARTBEAT_MS;
    this.#nextBeat = this.#watch === undefined ? after(now, this.#interval) : Infinity;
    this.#watch?.start(now, this.#rttMs);
    return [{ kind: "established" }, ...this.#size.start(now)];
  }

  #alive(source: Endpoint, now: Millis): readonly SleeveEvent[] {
    const events: SleeveEvent[] = [];
    const first = !this.#heard;
    if (first) events.push({ kind: "control", tag: SLEEVE_CONTROL.established, payload: NO_PAYLOAD });
    this.#heard = true;
    this.#heardAt = now;
    this.#timeoutAt = after(now, HEARTBEAT_TIMEOUT_MS);
    if (first && !this.#established && this.#beats > 0) {
      this.#nextBeat = Math.min(this.#nextBeat, now + READY_HEARTBEAT_MS);
    }
    events.push(...this.#follow(source, now));
    if (first && this.#acknowledged) events.push(...this.#establish(now));
    // Where answers are to be had, only they show that both directions work.
    if (this.#watch === undefined || !this.#established) events.push(...this.#back());
    return events;
  }

  /** Goes along with the peer's address, but not with two at a time. */
  #follow(source: Endpoint, now: Millis): readonly SleeveEvent[] {
    const before = this.#remote;
    if (before?.ip === source.ip && before.port === source.port) return NO_EVENTS;
    if (now - this.#movedAt < MOVE_INTERVAL_MS) return NO_EVENTS;
    this.#remote = source;
    this.#movedAt = now;
    if (before === undefined) return [{ kind: "moved" }, ...this.#beat(now)];
    // Another path, another MTU.
    return this.#established ? [{ kind: "moved" }, ...this.#size.look()] : [{ kind: "moved" }];
  }

  #beat(now: Millis): readonly SleeveEvent[] {
    if (this.#remote === undefined) {
      this.#nextBeat = Infinity;
      return NO_EVENTS;
    }
    this.#nextBeat = after(now, this.#pause());
    this.#firstBeatAt ??= now;
    this.#beats++;
    return [{ kind: "special", df: true, frame: { kind: "heartbeat", connUid: this.options.connUid } }];
  }

  /** Until the peer is heard the first heartbeats come quickly, one after 20 ms and then each after twice the time: it
   * cannot send before it has our address, and the connection may have reached us before it. */
  #pause(): number {
    if (this.#heard) return this.#interval;
    return Math.min(this.#interval, READY_HEARTBEAT_MS * 2 ** this.#beats);
  }
}
