/** Finds ports of this host that are part of a loop, and which of them to stop. Pure.
 *
 * Where a storm is seen, a probe goes out of every port. One that comes back, by whatever way, went round a loop: its
 * port is stopped. While it is stopped a probe goes out of it from time to time; when none comes back it is opened. */
import { after, type Millis } from "../../core/time.ts";

/** Shortest and longest time between two rounds of probes; it doubles while none comes back. */
export const ROUND_MS = 250;
const LONGEST_ROUND_MS = 30_000;
/** After this long without suspicion the next one is looked into at once. */
const CALM_MS = 60_000;
/** A probe that takes longer does not count. */
export const RETURN_MS = 1_000;
/** After a port was stopped, what still goes round says nothing about others for so long. */
const SETTLE_MS = 300;
/** A port stays stopped at least this long, twice as long each time it is stopped again within REPEAT_MS. */
export const STOPPED_MS = 5_000;
const LONGEST_HOLD_MS = 300_000;
const REPEAT_MS = 600_000;
const MAX_STRIKES = 16;

/** What is to be done. */
export type LoopStep =
  | { readonly kind: "probe"; readonly port: number; readonly number: number }
  | { readonly kind: "stop" | "open"; readonly port: number };

interface Stopped {
  /** When something is to be done about it. */
  at: Millis;
  /** `held`: then it is probed. `probed`: then the probe has come back or will not. */
  phase: "held" | "probed";
  returned: boolean;
  hold: number;
}

/** See the module's head. Ports are numbers of whatever kind. */
export class LoopFinder {
  readonly #draw: () => number;
  readonly #sent = new Map<number, { readonly port: number; readonly at: Millis; readonly until: Millis }>();
  readonly #stopped = new Map<number, Stopped>();
  /** How often ports were stopped lately. */
  readonly #strikes = new Map<number, { readonly count: number; readonly until: Millis }>();
  #roundAt = -Infinity;
  #suspectedAt = -Infinity;
  /** When a port was stopped last: probes that were sent before may have gone round the loop that is cut now, however late
   * they come back. */
  #cutAt = -Infinity;
  #pause = ROUND_MS;

  /** `draw` gives numbers of probes that nobody can guess. */
  constructor(draw: () => number) {
    this.#draw = draw;
  }

  /** Ports that are stopped. */
  get stopped(): Iterable<number> {
    return this.#stopped.keys();
  }

  /** Whether a port is stopped. */
  isStopped(port: number): boolean {
    return this.#stopped.has(port);
  }

  /** Earliest time of the next round of probes. */
  get nextRound(): number {
    return this.#roundAt;
  }

  /** A storm is seen; `ports` gives those that there are. */
  suspect(ports: () => readonly number[], now: Millis): LoopStep[] {
    if (now - this.#suspectedAt > CALM_MS) this.#pause = ROUND_MS;
    this.#suspectedAt = now;
    if (now < this.#roundAt) return [];
    this.#roundAt = after(now, this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_ROUND_MS);
    return ports().filter((port) => !this.#stopped.has(port)).map((port) => this.#probe(port, now));
  }

  /** A probe has come back, by a port where that is known. undefined: it is none of ours. */
  returned(number: number, now: Millis, by?: number): readonly LoopStep[] | undefined {
    const sent = this.#sent.get(number);
    if (sent === undefined) return undefined;
    const { port } = sent;
    const stopped = this.#stopped.get(port);
    // What comes in at a stopped port ends there: that loop is cut.
    if (by !== undefined && by !== port && this.#stopped.has(by)) return [];
    if (stopped !== undefined) stopped.returned = true;
    if (stopped !== undefined || now > sent.until || sent.at <= this.#cutAt) return [];
    const strikes = this.#strikesOf(port, now);
    this.#strikes.set(port, { count: strikes + 1, until: after(now, REPEAT_MS) });
    const hold = Math.min(STOPPED_MS * 2 ** Math.min(strikes, MAX_STRIKES), LONGEST_HOLD_MS);
    this.#stopped.set(port, { at: after(now, hold), phase: "held", returned: false, hold });
    this.#cutAt = now;
    this.#pause = ROUND_MS;
    this.#roundAt = after(now, SETTLE_MS);
    return [{ kind: "stop", port }];
  }

  #strikesOf(port: number, now: Millis): number {
    for (const [other, { until }] of this.#strikes) if (until < now) this.#strikes.delete(other);
    return this.#strikes.get(port)?.count ?? 0;
  }

  /** A port has gone. */
  forget(port: number): void {
    this.#stopped.delete(port);
    this.#strikes.delete(port);
    for (const [number, sent] of this.#sent) if (sent.port === port) this.#sent.delete(number);
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    let at = Infinity;
    for (const stopped of this.#stopped.values()) at = Math.min(at, stopped.at);
    return at;
  }

  /** Does what is due about stopped ports. */
  wake(now: Millis): readonly LoopStep[] {
    const steps: LoopStep[] = [];
    for (const [port, stopped] of this.#stopped) {
      if (now < stopped.at) continue;
      if (stopped.phase === "held") {
        stopped.phase = "probed";
        stopped.returned = false;
        stopped.at = after(now, RETURN_MS);
        steps.push(this.#probe(port, now));
      } else if (stopped.returned) {
        stopped.phase = "held";
        stopped.hold = Math.min(2 * stopped.hold, LONGEST_HOLD_MS);
        stopped.at = after(now, stopped.hold);
      } else {
        this.#stopped.delete(port);
        steps.push({ kind: "open", port });
      }
    }
    return steps;
  }

  #probe(port: number, now: Millis): LoopStep {
    for (const [number, { until }] of this.#sent) if (until < now) this.#sent.delete(number);
    const number = this.#draw();
    this.#sent.set(number, { port, at: now, until: after(now, RETURN_MS) });
    return { kind: "probe", port, number };
  }
}
