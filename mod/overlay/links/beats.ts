/** The rhythm of heartbeats, of both overlays, and what those of full size say. */
import type { Millis } from "../../core/time.ts";

/** Interval of heartbeats until the peer has confirmed one. */
export const FAST_HEARTBEAT_MS = 500;
/** Interval afterwards. */
export const SLOW_HEARTBEAT_MS = 10_000;
/** Without a heartbeat from the peer for this long the overlay is put on hold. */
export const HEARTBEAT_TIMEOUT_MS = 60_000;
/** Interval of small heartbeats while traffic flows, between two ends that both can. */
export const BUSY_HEARTBEAT_MS = 800;
/** Interval of those of full size among them: small ones say nothing about what large packets meet. */
export const BUSY_FULL_MS = 2 * BUSY_HEARTBEAT_MS;
/** Interval of heartbeats on hold, between two ends that both can. */
export const HOLD_HEARTBEAT_MS = 1_000;
/** A heartbeat is missed after so many times what the last one promised. */
export const MISSED_AFTER = 3;
/** But never sooner than this. */
export const LEAST_TIMEOUT_MS = MISSED_AFTER * BUSY_HEARTBEAT_MS;
/** A missed heartbeat that is found so late may wait to be received. */
export const LATE_MS = 200;
/** So many heartbeats are wanted in a row, none later than a timeout, before a silent path is used again. */
export const COMEBACK = 2;
/** When traffic ends, this is said so many times, as the peer would miss what it was promised. */
export const QUIET_BEATS = 3;
/** The peer's address is believed to have changed at most this often: each change concerns all flows to the peer. */
export const MOVE_INTERVAL_MS = 1_000;
/** An unanswered first heartbeat is worth a complaint after this long. */
export const COMPLAIN_AFTER_MS = 3_000;
/** Time from the peer's first heartbeat, with which it shows that it is ready, to our next one, if ours is unanswered:
 * sent earlier, it may have come to nothing. */
export const READY_HEARTBEAT_MS = 20;
/** What a heartbeat says besides that it has come. */
export interface HeartbeatFacts {
  /** The next one comes within so many milliseconds; 0: nothing is promised. */
  readonly promise: number;
  /** Whether it is of full size. */
  readonly full: boolean;
  /** The next one of full size comes within so many milliseconds; 0: nothing is promised. */
  readonly fullPromise?: number;
}

/** So long a heartbeat may wait among packets that have come and are not read yet. */
const BACKLOG_MS = 10_000 as Millis;

/** Whether a heartbeat that was due is missed: it has not come, and is not waiting to be read either. A flood of new
 * conversations must not pass for a path that has failed; and it must not hide one for ever. */
export function isMissed(due: number, now: Millis, readUntil: Millis): boolean {
  return now >= due && (readUntil >= due || now >= due + BACKLOG_MS);
}

/** How long the peer may be silent after a heartbeat that promised the next one; 0: it promised nothing. */
export function patienceAfter(promise: number): number {
  if (promise === 0) return HEARTBEAT_TIMEOUT_MS;
  return Math.min(Math.max(MISSED_AFTER * promise, LEAST_TIMEOUT_MS), HEARTBEAT_TIMEOUT_MS);
}

/** A heartbeat that is sent: when the one after it is due, and whether it is of full size. */
export interface Beat {
  readonly interval: number;
  readonly full: boolean;
}

/** The next heartbeat on a path that works, between two ends that promise theirs. `quiet`: how many heartbeats are still to
 * tell the peer that traffic has ended. The last of them promises the slow rhythm already. */
export function promisedBeat(
  { busy, quiet, fullDue }: { readonly busy: boolean; readonly quiet: number; readonly fullDue: boolean },
): Beat {
  if (busy || quiet > 1) return { interval: BUSY_HEARTBEAT_MS, full: fullDue };
  return { interval: SLOW_HEARTBEAT_MS, full: quiet === 0 || fullDue };
}

/** Heartbeats of full size among small ones: when ours is due, and by when the peer's next one is. */
export class FullBeats {
  /** When our next one is due. */
  next = 0;
  /** When the peer's is missed. */
  deadline = Infinity;
  /** Whether the peer says when its next one comes. */
  #promised = false;

  /** `promises`: whether both ends promise heartbeats. */
  constructor(readonly promises: boolean) {}

  /** A heartbeat of the peer came. */
  heard({ full, promise, fullPromise }: Required<HeartbeatFacts>, now: Millis): void {
    if (full) {
      this.#promised = this.promises && fullPromise > 0;
      const patience = this.#promised ? MISSED_AFTER * fullPromise : HEARTBEAT_TIMEOUT_MS;
      this.deadline = now + Math.min(patience, HEARTBEAT_TIMEOUT_MS);
    } else if (promise > BUSY_HEARTBEAT_MS) this.deadline = now + HEARTBEAT_TIMEOUT_MS; // traffic has ended
    else if (this.#promised) {
      // Traffic has begun, which a heartbeat of full size should have told.
      this.deadline = Math.min(this.deadline, now + MISSED_AFTER * BUSY_FULL_MS);
    }
  }
}
