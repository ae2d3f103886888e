/** Which targets answer: when each is probed, and what its answers come to. */
import type { Ip } from "../../core/addr.ts";
import type { Millis } from "../../core/time.ts";

/** How a target shows that it answers. */
export type HealthCheck =
  /** A connection can be made. */
  | { readonly kind: "tcp"; readonly port: number }
  /** A page is there: status 200 to 399. */
  | { readonly kind: "http"; readonly port: number; readonly path: string };

/** How often, and how much it takes. */
export interface HealthPace {
  /** From probe to probe; also how long a target has for its answer. */
  readonly intervalMs: number;
  /** So many probes in a row that say otherwise change a target's state. */
  readonly threshold: number;
}

/** Two failures in a row, each with half a second to answer: a target that is silent leaves within two seconds. */
export const DEFAULT_PACE: HealthPace = { intervalMs: 500, threshold: 2 };
/** Bounds of what may be asked for. */
const PACE = { shortestMs: 100, longestMs: 3_600_000, threshold: 100 } as const;

/** What is probed. */
export interface ProbedTarget {
  /** Path of its network namespace. */
  readonly netns: string;
  /** Its address there. */
  readonly ip: Ip;
  readonly check: HealthCheck;
  readonly pace: HealthPace;
}

/** What has to be done. */
export type HealthEffect =
  /** Probe; the result bears the number. */
  | { readonly kind: "probe"; readonly target: string; readonly probe: number }
  /** Nobody waits for the result any more. */
  | { readonly kind: "cancel"; readonly probe: number }
  /** A target answers, or no longer does. */
  | { readonly kind: "state"; readonly target: string; readonly healthy: boolean };

interface Watched {
  readonly pace: HealthPace;
  /** undefined until the first result, which counts at once. */
  healthy: boolean | undefined;
  /** Results in a row that say otherwise. */
  against: number;
  probe: number | undefined;
  /** When the probe that runs has failed, or the next one begins. */
  at: Millis;
  /** When the last probe began. */
  beganAt: Millis;
}

/** All targets that are probed. */
export class HealthWatch {
  readonly #watched = new Map<string, Watched>();
  #lastProbe = 0;

  /** Begins to probe a target, at once. One that is probed already begins anew, and keeps its state. */
  add(target: string, pace: HealthPace, now: Millis): readonly HealthEffect[] {
    const before = this.#watched.get(target);
    const cancelled = this.#cancel(before);
    const watched = { pace, healthy: before?.healthy, against: 0, probe: undefined, at: now, beganAt: now };
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
  result(target: string, probe: number, good: boolean, now: Millis): readonly HealthEffect[] {
    const watched = this.#watched.get(target);
    if (watched === undefined || watched.probe !== probe) return [];
    return this.#ended(target, watched, good, now);
  }

  /** A probe could not be made, and that says nothing of the target: the next one begins when it is due. */
  skip(target: string, probe: number): void {
    const watched = this.#watched.get(target);
    if (watched?.probe === probe) watched.probe = undefined;
  }

  /** Does what is due. */
  wake(now: Millis): readonly HealthEffect[] {
    const effects: HealthEffect[] = [];
    for (const [target, watched] of this.#watched) {
      if (watched.at > now) continue;
      if (watched.probe !== undefined) {
        effects.push(...this.#cancel(watched), ...this.#ended(target, watched, false, now));
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
    watched.beganAt = now;
    watched.at = now + intervalMs as Millis;
    return { kind: "probe", target, probe: watched.probe };
  }

  #ended(target: string, watched: Watched, good: boolean, now: Millis): readonly HealthEffect[] {
    watched.probe = undefined;
    watched.at = Math.max(now, watched.beganAt + watched.pace.intervalMs) as Millis;
    watched.against = good === watched.healthy ? 0 : watched.against + 1;
    if (good === watched.healthy) return [];
    if (watched.healthy !== undefined && watched.against < watched.pace.threshold) return [];
    watched.healthy = good;
    watched.against = 0;
    return [{ kind: "state", target, healthy: good }];
  }

  #cancel(watched: Watched | undefined): readonly HealthEffect[] {
    return watched?.probe === undefined ? [] : [{ kind: "cancel", probe: watched.probe }];
  }
}

/** `tcp:80` or `http:80/ready`; with `,every=2s` or `,every=500ms`, and `,after=3` probes in a row. undefined: it is none. */
export function parseHealthCheck(
  text: string,
): { readonly check: HealthCheck; readonly pace: HealthPace } | undefined {
  const form = /^(tcp|http):([0-9]{1,5})(\/[!-~]*?)?(?:,every=([0-9]{1,7})(ms|s))?(?:,after=([0-9]{1,3}))?$/;
  const [whole, kind, digits, path, every, unit, after] = text.length > 1_024 ? [] : form.exec(text) ?? [];
  const port = Number(digits);
  if (whole === undefined || !(port >= 1 && port <= 65_535) || kind === "tcp" && path !== undefined) {
    return undefined;
  }
  if (/,(?:every|after)=/.test(path ?? "")) return undefined; // a pace that is none, or in another order
  const intervalMs = every === undefined
    ? DEFAULT_PACE.intervalMs
    : Number(every) * (unit === "s" ? 1_000 : 1);
  const threshold = after === undefined ? DEFAULT_PACE.threshold : Number(after);
  if (intervalMs < PACE.shortestMs || intervalMs > PACE.longestMs) return undefined;
  if (threshold < 1 || threshold > PACE.threshold) return undefined;
  const check = kind === "tcp" ? { kind, port } as const : { kind: "http", port, path: path ?? "/" } as const;
  return { check, pace: { intervalMs, threshold } };
}
