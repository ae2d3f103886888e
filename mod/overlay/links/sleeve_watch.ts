/** Finds out whether a user-space link still carries traffic, and how fast: one end asks, the other answers. Both must know
 * beats. */
import type { ConnUid } from "../../core/names.ts";
import { after, type Millis } from "../../core/time.ts";
import { SLEEVE_BEAT_CONTROL } from "../../wire/mesh/sleeve_special.ts";
import { BUSY_HEARTBEAT_MS, SLOW_HEARTBEAT_MS } from "./beats.ts";
import type { ForwarderEvent } from "./forwarder.ts";

/** What the watch wants sent. */
export type WatchEvent = Extract<ForwarderEvent, { readonly kind: "control" | "special" }>;

/** A question that is not answered is asked again after this long. */
export const ASK_AGAIN_MS = 250;
/** The link is lost when no answer came for this long while traffic goes out. With the time between two questions that is
 * less than three seconds. */
export const ANSWER_LIMIT_MS = 2_000;
/** The same when a better overlay has just been lost and this one is to take over. */
export const VERIFY_LIMIT_MS = 600;
/** After this long the peer is asked over the control connection as well: a flood may have filled a socket. */
const CHECK_AFTER_MS = 900;
/** A packet that is no older than this shows that the peer's packets arrive. */
const RECENT_MS = 500;
/** A deadline that is met so late means that this process was delayed. */
const LATE_MS = 200;
/** So many rounds without traffic end the close watch. */
const QUIET_ROUNDS = 2;
/** The asker waits this much longer before its next question, so that both ends take turns. */
const TURN_MS = 1_000;
/** Questions whose times are remembered. */
const REMEMBERED = 16;
/** Share of a longer round trip in the estimate. A shorter one counts at once: what makes them longer is mostly that a
 * daemon was busy, as at its start. */
const GAIN = 1 / 4;
/** A new mean is told when it differs this much from the last one that was told: by this part, and by these milliseconds. */
const NEWS_PART = 0.15;
const NEWS_MS = 0.05;

/**
 *     idle: a question every 10 s, by turns --we send--> busy: every 800 ms, again after 250 ms if not answered
 *                                           <--two rounds without traffic--
 *     not answered for 2 s while busy: lost;  any answer: found
 *
 * Only what we send is watched: the other end watches what it sends.
 */
export class SleeveWatch {
  #busy = false;
  #carried = false;
  #quiet = 0;
  #seq = 0;
  readonly #askedAt = new Float64Array(REMEMBERED).fill(-Infinity);
  #roundAt = -Infinity;
  #nextAsk = Infinity;
  #unansweredSince = Infinity;
  #limit = ANSWER_LIMIT_MS;
  #heardAt = -Infinity;
  #answeredAt = -Infinity;
  #mean: number | undefined;
  #measuredAt = -Infinity;
  #told: number | undefined;

  constructor(readonly connUid: ConnUid) {}

  /** Mean of recent round trips in milliseconds; moves only when it is worth telling. */
  get rttMs(): number | undefined {
    return this.#told;
  }

  /** When a round trip was measured last. */
  get rttAt(): number | undefined {
    return this.#mean === undefined ? undefined : this.#measuredAt;
  }

  /** A packet of traffic goes out. Cheap. True: the link was idle; call trafficBegins(). */
  carried(): boolean {
    if (this.#carried) return false;
    this.#carried = true;
    return !this.#busy;
  }

  /** Something genuine came from the peer; cheap. */
  heard(now: Millis): void {
    this.#heardAt = now;
  }

  /** When the peer last answered a question. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  /** Whether the peer has answered a question since then. */
  answeredSince(time: Millis): boolean {
    return this.#answeredAt > time;
  }

  /** The link works from now on; how long the first round trip took, if that is known. */
  start(now: Millis, rttMs: number | undefined): void {
    if (rttMs !== undefined) this.#measured(rttMs, now);
    this.#nextAsk = after(now, TURN_MS);
    if (this.#carried) this.#nextAsk = now;
  }

  /** The link is no longer idle. */
  trafficBegins(now: Millis): readonly WatchEvent[] {
    if (this.#busy || this.#nextAsk === Infinity) return [];
    this.#watchClosely();
    return this.#ask(now);
  }

  /** This link must show at once that it works. */
  verify(now: Millis): readonly WatchEvent[] {
    if (this.#nextAsk === Infinity) return [];
    this.#watchClosely();
    this.#unansweredSince = Math.min(this.#unansweredSince, now);
    this.#roundAt = now;
    this.#limit = VERIFY_LIMIT_MS;
    return this.#ask(now);
  }

  /** Asks at once, whatever the rhythm. */
  announce(now: Millis): readonly WatchEvent[] {
    return this.#nextAsk === Infinity ? [] : this.#ask(now);
  }

  /** The peer asks. `lost`: whether the link counts as lost. */
  asked(seq: number, now: Millis, lost: boolean): readonly WatchEvent[] {
    this.#heardAt = now;
    const answer = this.#beat(false, seq);
    if (this.#busy || this.#nextAsk === Infinity) return [answer];
    if (lost && now - this.#roundAt >= TURN_MS) return [answer, ...this.#ask(now)];
    this.#nextAsk = after(now, SLOW_HEARTBEAT_MS);
    return [answer];
  }

  /** The peer answers a question; true when it is one of ours. */
  answered(seq: number, now: Millis): boolean {
    const age = (this.#seq - seq) & 0xffff;
    const sentAt = this.#askedAt[seq % REMEMBERED]!;
    if (age >= REMEMBERED || sentAt === -Infinity) return false;
    this.#heardAt = this.#answeredAt = now;
    this.#measured(now - sentAt, now);
    this.#satisfied(now);
    return true;
  }

  /** A control message of the watch came; true: it is as good as an answer. */
  control(
    tag: number,
    payload: Uint8Array,
    now: Millis,
  ): { readonly events: readonly WatchEvent[]; readonly answered: boolean } {
    const hears = now - this.#heardAt < RECENT_MS;
    if (!hears || payload.length < 2) return { events: [], answered: false };
    if (tag === SLEEVE_BEAT_CONTROL.check) {
      const seq = payload[0]! << 8 | payload[1]!;
      const heard = {
        kind: "control",
        tag: SLEEVE_BEAT_CONTROL.heard,
        payload: payload.slice(0, 2),
      } as const;
      return { events: [this.#beat(false, seq), heard], answered: false };
    }
    if (tag !== SLEEVE_BEAT_CONTROL.heard) return { events: [], answered: false };
    this.#satisfied(now);
    return { events: [], answered: true };
  }

  /** Time has passed. `lost`: the link must not be used any more. */
  wake(now: Millis): { readonly events: readonly WatchEvent[]; readonly lost: boolean } {
    const due = this.#unansweredSince + this.#limit;
    if (this.#busy && now >= due + LATE_MS) this.#unansweredSince = now;
    else if (this.#busy && now >= due) {
      this.#busy = false;
      this.#satisfied(now);
      this.#nextAsk = after(now, SLOW_HEARTBEAT_MS);
      return { events: [], lost: true };
    }
    if (now < this.#nextAsk) return { events: [], lost: false };
    return { events: this.#round(now), lost: false };
  }

  /** Earliest time at which wake() may matter. */
  nextWake(): number {
    return Math.min(this.#nextAsk, this.#busy ? this.#unansweredSince + this.#limit : Infinity);
  }

  #watchClosely(): void {
    this.#busy = true;
    this.#quiet = 0;
  }

  /** A question is due: the next one, or the last one again. */
  #round(now: Millis): readonly WatchEvent[] {
    const again = this.#unansweredSince < Infinity;
    if (this.#carried && !this.#busy) this.#watchClosely();
    if (!this.#busy || again) return this.#ask(now);
    this.#quiet = this.#carried ? 0 : this.#quiet + 1;
    this.#carried = false;
    if (this.#quiet < QUIET_ROUNDS) return this.#ask(now);
    this.#busy = false;
    this.#nextAsk = after(now, SLOW_HEARTBEAT_MS);
    return [];
  }

  #ask(now: Millis): readonly WatchEvent[] {
    this.#seq = (this.#seq + 1) & 0xffff;
    this.#askedAt[this.#seq % REMEMBERED] = now;
    const ask = this.#beat(true, this.#seq);
    if (!this.#busy) {
      this.#roundAt = now;
      this.#nextAsk = after(now, SLOW_HEARTBEAT_MS);
      return [ask];
    }
    if (this.#unansweredSince === Infinity) {
      this.#unansweredSince = now;
      this.#roundAt = now;
    }
    this.#nextAsk = after(now, Math.min(ASK_AGAIN_MS, this.#limit / 4));
    if (now - this.#unansweredSince < CHECK_AFTER_MS) return [ask];
    const payload = Uint8Array.of(this.#seq >>> 8, this.#seq);
    return [ask, { kind: "control", tag: SLEEVE_BEAT_CONTROL.check, payload }];
  }

  #satisfied(now: Millis): void {
    this.#unansweredSince = Infinity;
    this.#limit = ANSWER_LIMIT_MS;
    this.#nextAsk = this.#busy
      ? Math.max(after(now, 1), this.#roundAt + BUSY_HEARTBEAT_MS)
      : after(now, SLOW_HEARTBEAT_MS + TURN_MS);
  }

  #beat(ask: boolean, seq: number): WatchEvent {
    return { kind: "special", df: true, frame: { kind: "beat", connUid: this.connUid, ask, seq } };
  }

  #measured(ms: number, now: Millis): void {
    this.#measuredAt = now;
    const before = this.#mean ?? ms;
    const mean = this.#mean = ms < before ? ms : before + (ms - before) * GAIN;
    const told = this.#told;
    if (told === undefined || Math.abs(mean - told) > told * NEWS_PART + NEWS_MS) {
      this.#told = Math.round(mean * 100) / 100;
    }
  }
}
