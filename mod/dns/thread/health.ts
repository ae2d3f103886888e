/** Which targets answer: when each is probed, and what its answers come to. */
import type { Millis } from "../../core/time.ts";
import type { HealthPace } from "./health_check.ts";

/** What has to be done. */
export type HealthEffect =
  /** Probe; the result bears the number. */
  | { readonly kind: "probe"; readonly target: string; readonly probe: number }
  /** Nobody waits for the result any more. */
  | { readonly kind: "cancel"; readonly probe: number }
  /** A target answers, or no longer does. */
  | { readonly kind: "state"; readonly target: string; readonly health: Health };

/** How a target is. */
export type Health = { readonly healthy: true } | { readonly healthy: false; readonly reason: string };

/** Where a probe cannot begin because too many run, it begins as soon after that. */
const SOON_MS = 50;

interface Watched {
  readonly pace: HealthPace;
  /** undefined until the first result, which counts at once. */
  healthy: boolean | undefined;
  /** Results in a row that say otherwise. */
  against: number;
  probe: number | undefined;
  /** When the probe that runs has failed, or the next one begins. */
  at: Millis;
}

/** All targets that are probed. */
export class HealthWatch {
  readonly #watched = new Map<string, Watched>();
  #lastProbe = 0;

  /** Begins to probe a target, at once. One that is probed already begins anew, and keeps its state. */
  add(target: string, pace: HealthPace, now: Millis): readonly HealthEffect[] {
    const before = this.#watched.get(target);
    const cancelled = this.#cancel(before);
    const watched = { pace, healthy: before?.healthy, against: 0, probe: undefined, at: now };
    this.#watched.set(target, watched);
    return [...cancelled, this.#begin(target, watched, now)];
  }

  /** Forgets a target. */
  remove(target: string): readonly HealthEffect[] {
    const watched = this.#watched.get(target);
    this.#watched.delete(target);
    return this.#cancel(watched);
  }

  /** A probe has ended. Late results count for nothing. */
  result(target: string, probe: number, health: Health, now: Millis): readonly HealthEffect[] {
    const watched = this.#watched.get(target);
    if (watched === undefined || watched.probe !== probe) return [];
    return this.#ended(target, watched, health, now);
  }

  /** A probe could not be made, and that says nothing of the target: the next one begins when it is due. */
  skip(target: string, probe: number): void {
    const watched = this.#watched.get(target);
    if (watched?.probe === probe) watched.probe = undefined;
  }

  /** A probe has to wait for its turn: it begins soon. Those that had theirs come later, so each has one. */
  postpone(target: string, probe: number, now: Millis): void {
    const watched = this.#watched.get(target);
    if (watched?.probe !== probe) return;
    watched.probe = undefined;
    watched.at = now + Math.min(SOON_MS, watched.pace.intervalMs) as Millis;
  }

  /** Does what is due. */
  wake(now: Millis): readonly HealthEffect[] {
    const effects: HealthEffect[] = [];
    for (const [target, watched] of this.#watched) {
      if (watched.at > now) continue;
      if (watched.probe !== undefined) {
        const reason = `no answer within ${watched.pace.intervalMs} ms`;
        effects.push(
          ...this.#cancel(watched),
          ...this.#ended(target, watched, { healthy: false, reason }, now),
        );
      }
      if (watched.at <= now) effects.push(this.#begin(target, watched, now));
    }
    return effects;
  }

  /** Earliest time at which wake() has something to do; Infinity when there is none. */
  nextWake(): number {
    let earliest = Infinity;
    for (const { at } of this.#watched.values()) earliest = Math.min(earliest, at);
    return earliest;
  }

  #begin(target: string, watched: Watched, now: Millis): HealthEffect {
    const { intervalMs } = watched.pace;
    watched.probe = ++this.#lastProbe;
    watched.at = now + intervalMs as Millis;
    return { kind: "probe", target, probe: watched.probe };
  }

  #ended(target: string, watched: Watched, health: Health, now: Millis): readonly HealthEffect[] {
    const { healthy: good } = health;
    watched.probe = undefined;
    watched.at = Math.max(now, watched.at) as Millis;
    watched.against = good === watched.healthy ? 0 : watched.against + 1;
    if (good === watched.healthy) return [];
    if (watched.healthy !== undefined && watched.against < watched.pace.threshold) return [];
    watched.healthy = good;
    watched.against = 0;
    return [{ kind: "state", target, health }];
  }

  #cancel(watched: Watched | undefined): readonly HealthEffect[] {
    return watched?.probe === undefined ? [] : [{ kind: "cancel", probe: watched.probe }];
  }
}
