/** Whether a target answers, as several say: our own check, and the container engine. Pure. */

/** Who says it. */
export type HealthVoter = "check" | "engine";

/** One no is enough. */
export class HealthVotes {
  /** By target: those who say that it does not answer. */
  readonly #against = new Map<string, Set<HealthVoter>>();

  /** `tell` hears of each change of what all say together. */
  constructor(readonly tell: (target: string, healthy: boolean) => void) {}

  /** Somebody says whether a target answers. */
  vote(target: string, voter: HealthVoter, healthy: boolean): void {
    const against = this.#against.get(target) ?? new Set();
    const before = against.size > 0;
    if (healthy) against.delete(voter);
    else against.add(voter);
    if (against.size > 0) this.#against.set(target, against);
    else this.#against.delete(target);
    if (before !== against.size > 0) this.tell(target, against.size === 0);
  }
}
