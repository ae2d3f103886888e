/** Whether a target answers, as several say: our own check, and the container engine. Pure. */
import type { EngineTrouble } from "../../control/name_types.ts";

/** One no is enough. */
export class HealthVotes {
  /** Targets that our check finds failing. */
  readonly #failing = new Set<string>();
  /** What the engine says of targets that do not answer. */
  readonly #troubles = new Map<string, EngineTrouble>();

  /** `tell` hears of each change of what both say together. */
  constructor(readonly tell: (target: string, healthy: boolean) => void) {}

  /** Our own check says whether a target answers. */
  checked(target: string, healthy: boolean): void {
    this.#change(target, () => {
      if (healthy) this.#failing.delete(target);
      else this.#failing.add(target);
    });
  }

  /** The engine says why a target does not answer; undefined: it does, as far as the engine knows. */
  engineSays(target: string, trouble: EngineTrouble | undefined): void {
    this.#change(target, () => {
      if (trouble === undefined) this.#troubles.delete(target);
      else this.#troubles.set(target, trouble);
    });
  }

  /** What the engine said of a target last. */
  troubleOf(target: string): EngineTrouble | undefined {
    return this.#troubles.get(target);
  }

  #change(target: string, change: () => void): void {
    const before = this.#isWell(target);
    change();
    const healthy = this.#isWell(target);
    if (before !== healthy) this.tell(target, healthy);
  }

  #isWell(target: string): boolean {
    return !this.#failing.has(target) && !this.#troubles.has(target);
  }
}
