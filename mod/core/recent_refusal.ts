/** Why what another host said was refused, for those who ask later. Pure. */
import type { Clock } from "./ports.ts";
import { after } from "./time.ts";

/** It is remembered for so long: the other host dials again within that time. */
const REFUSAL_MS = 600_000;

/** The last refusal, while it tells something about now. */
export class RecentRefusal {
  #reason: string | undefined;
  #until = -Infinity;

  constructor(readonly clock: Pick<Clock, "now">) {}

  /** Remembers one in place of earlier ones. */
  note(reason: string): void {
    this.#reason = reason;
    this.#until = after(this.clock.now(), REFUSAL_MS);
  }

  /** Its reason; undefined: there was none lately. */
  get reason(): string | undefined {
    return this.clock.now() < this.#until ? this.#reason : undefined;
  }
}
