/** Probing targets: from inside the target's own network namespace, so that no host needs a way there. */
import { isUsedUp } from "../../core/errno.ts";
import { errnoOf, messageOf } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { type Health, type HealthEffect, HealthWatch } from "./health.ts";
import type { HealthCheck, ProbedTarget } from "./health_check.ts";
import { type Exam, examine } from "./exam_shell.ts";
import type { Handlers, Sockets } from "./socket_ports.ts";
import { ProbePrograms } from "./programs_shell.ts";

/** What probing is made of. */
export interface ProbingOptions {
  readonly clock: Clock;
  readonly handlers: Handlers;
  readonly sockets: Pick<Sockets, "connectIn" | "runIn">;
  /** A target answers, or no longer does. */
  readonly changed: (target: string, health: Health) => void;
}

/** See the file. */
export class Probing implements Disposable {
  readonly #around: ProbingOptions;
  readonly #watch = new HealthWatch();
  readonly #targets = new Map<string, ProbedTarget>();
  /** Probes under way. */
  readonly #open = new Map<number, Exam>();
  readonly #programs: ProbePrograms;

  constructor(around: ProbingOptions) {
    this.#around = around;
    this.#programs = new ProbePrograms(around);
  }

  /** Begins to probe a target, or probes it in another way. */
  set(id: string, target: ProbedTarget): void {
    this.#targets.set(id, target);
    this.#perform(this.#watch.add(id, target.pace, this.#around.clock.now()));
  }

  /** Probes a target no more. */
  remove(id: string): void {
    if (this.#targets.delete(id)) this.#perform(this.#watch.remove(id));
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    return this.#watch.nextWake();
  }

  /** Does what is due. */
  wake(): void {
    this.#perform(this.#watch.wake(this.#around.clock.now()));
  }

  /** Ends what is under way. */
  [Symbol.dispose](): void {
    for (const probe of [...this.#open.keys()]) this.#close(probe);
    this.#programs[Symbol.dispose]();
  }

  #perform(effects: readonly HealthEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "state") this.#around.changed(effect.target, effect.health);
      else if (effect.kind === "cancel") this.#close(effect.probe);
      else this.#begin(effect.target, effect.probe);
    }
  }

  #begin(id: string, probe: number): void {
    const { check } = this.#targets.get(id)!;
    if (check.kind === "exec" && this.#programs.isFull) {
      return this.#watch.postpone(id, probe, this.#around.clock.now());
    }
    const ended = (health: Health) => this.#end(id, probe, health);
    try {
      this.#open.set(probe, this.#start(id, check, ended));
    } catch (thrown) {
      if (isUsedUp(errnoOf(thrown) ?? 0)) return this.#watch.skip(id, probe); // this host's trouble
      // Its namespace is gone, there is no way in it, or no such program.
      ended({ healthy: false, reason: messageOf(thrown) });
    }
  }

  #start(id: string, check: HealthCheck, ended: (health: Health) => void): Exam {
    const target = this.#targets.get(id)!;
    if (check.kind === "exec") return this.#programs.start({ id, ...target }, check.words, ended);
    return examine(this.#around, target, check, ended);
  }

  #end(id: string, probe: number, health: Health): void {
    this.#close(probe);
    this.#perform(this.#watch.result(id, probe, health, this.#around.clock.now()));
  }

  #close(probe: number): void {
    const exam = this.#open.get(probe);
    this.#open.delete(probe);
    exam?.[Symbol.dispose]();
  }
}
