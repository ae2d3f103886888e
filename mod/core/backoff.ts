/** Retry delays that spread a crowd out. */
import type { Random } from "./ports.ts";

/** Uniform in [interval/2, 3*interval/2) milliseconds (spec mesh.md 9.3, "later"). */
export function jittered(intervalMs: number, random: Random): number {
  return intervalMs / 2 + random.below(Math.max(1, Math.floor(intervalMs)));
}
