/** When a target is tried again (source: spec mesh.md, section 9.3). */
import { jittered } from "../../core/backoff.ts";
import type { Random } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import type { DialTarget } from "./dial_target.ts";

/** First wait before a discovered address is tried again, milliseconds. */
export const RETRY_START = 2_000;
/** The same for a direct target: hosts that start together are not there yet when the first of them dials. */
export const DIRECT_RETRY_START = 200;
/** Longest wait after failures, milliseconds. */
export const RETRY_CAP = 360_000;
/** The same for a direct target where nobody answers: its host may come back any moment, and may know nobody to dial. */
export const ABSENT_CAP = 15_000;
/** A connection that lived this long is made again at once when it is lost. */
export const GOOD_LIFE = 60_000;
/** Longest wait after connections that were used and lost, milliseconds. */
export const LOSS_CAP = 4_000;
/** When this host's network has changed, a target is tried within this time, milliseconds. */
export const RENEW_SPREAD = { direct: 200, discovered: 1_000 } as const;
/** The first wait after a try that a change of the network brought about, milliseconds. */
const RENEW_RETRY = 1_000;
const GROWTH = 1.5;

/** What the schedule needs at each decision. */
export interface RetryContext {
  readonly now: Millis;
  readonly random: Random;
}

/** The first wait of a target. */
export function firstInterval({ direct, until }: Pick<DialTarget, "direct" | "until">): number {
  return direct === undefined && until === undefined ? RETRY_START : DIRECT_RETRY_START;
}

/** After a failure: each wait is longer than the one before. `absent`: nobody answered. */
export function retryAfterFailure(
  target: DialTarget,
  { now, random }: RetryContext,
  absent: boolean,
): void {
  const cap = absent && target.direct !== undefined ? ABSENT_CAP : RETRY_CAP;
  target.tryAt = after(now, jittered(Math.min(target.interval, cap), random));
  target.interval = Math.min(target.interval * GROWTH, cap);
}

/** The target is reached, by a connection that it led to or by another one: failures before are forgotten. */
export function reached(target: DialTarget, now: Millis): void {
  target.interval = firstInterval(target);
  target.since = now;
}

/** After the loss of a connection that was in use the target is tried soon, as the network works. `ours`: this target had
 * led to the connection. If that lived long, it is made again at once; the other end waits a moment. The wait grows a
 * little, so that two hosts that cannot stay connected do not keep each other busy. */
export function retryAfterLoss(target: DialTarget, { now, random }: RetryContext, ours: boolean): void {
  const good = now - target.since > GOOD_LIFE;
  target.interval = firstInterval(target);
  if (good) target.pause = target.interval;
  target.tryAt = good && ours ? now : after(now, jittered(target.pause, random));
  target.pause = Math.min(target.pause * GROWTH, LOSS_CAP);
}

/** After a change of this host's network: soon, however long the wait was to be. */
export function retryAfterChange(target: DialTarget, { now, random }: RetryContext): void {
  const spread = target.direct === undefined ? RENEW_SPREAD.discovered : RENEW_SPREAD.direct;
  target.tryAt = Math.min(target.tryAt, after(now, random.below(spread)));
  target.interval = Math.min(target.interval, Math.max(RENEW_RETRY, firstInterval(target)));
}
