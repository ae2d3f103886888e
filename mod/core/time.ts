/** Moments and spans. Cores never read a clock: the time is an argument. */
import type { Brand } from "./brand.ts";

/** A point on the injected monotonic clock, in milliseconds; not wall time. */
export type Millis = Brand<number, "Millis">;

/** `at` later by `ms` milliseconds. */
export function after(at: Millis, ms: number): Millis {
  return at + ms as Millis;
}
