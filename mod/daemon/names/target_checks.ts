/** Health checks of what is attached here: remembered, and probed while the target is there. */
import { type Ip, isIpv4 } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Clock, Logger, Store } from "../../core/ports.ts";
import { HEALTH_PREFIX } from "../../core/store_keys.ts";
import type { HealthReport } from "../../control/name_types.ts";
import type { Millis } from "../../core/time.ts";
import type { Health } from "../../dns/thread/health.ts";
import { parseHealthCheck, type ProbedTarget } from "../../dns/thread/health_check.ts";
import type { NameService } from "../threads/names_client.ts";

const VERSION = 1;
/** What takes a check away. */
const NONE = "none";

/** What checks are made of. */
export interface TargetChecksParts {
  readonly store: Store;
  readonly logger: Logger;
  readonly service: Pick<NameService, "probe">;
  /** Where the namespace of a target can be opened now; undefined when it is gone. May throw. */
  readonly namespaceOf: (target: string) => string | undefined;
  readonly clock: Clock;
  /** Has all hosts answer a target's names by its addresses, or leave these out. */
  readonly tell: (target: string, healthy: boolean) => void;
}

/** A check as people write it; undefined takes it away. Throws "usage/bad-health". */
export function readHealth(text: string): string | undefined {
  if (text === NONE) return undefined;
  if (parseHealthCheck(text) !== undefined) return text;
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
  throw new MeshnetError("usage/bad-health", `Cannot use the health check ${shown}`, {
    hint:
      "Give tcp:PORT, http:PORT/PATH or exec:COMMAND, with ,every=2s (100ms to 3600s) and ,after=3 (1 to 100) " +
      "if you like, in this order, or none",
  });
}

/** How a target that is probed is. */
interface Known {
  readonly healthy: boolean;
  readonly since: Millis;
  /** Why it was found to have failed last. */
  readonly reason: string | null;
}

/** See the file. */
export class TargetChecks {
  readonly #parts: TargetChecksParts;
  readonly #checks = new Map<string, string>();
  /** How those are that are probed. */
  readonly #health = new Map<string, Known>();
  /** What is probed now, as text. */
  readonly #probed = new Map<string, string>();

  /** Reads what is remembered. */
  constructor(parts: TargetChecksParts) {
    this.#parts = parts;
    for (const [key, value] of parts.store.list(HEALTH_PREFIX)) {
      const check = readStored(value);
      if (check !== undefined) this.#checks.set(key.slice(HEALTH_PREFIX.length), check);
      else parts.logger.error("health check unreadable", { key });
    }
  }

  /** The check of a target. */
  of(target: string): string | undefined {
    return this.#checks.get(target);
  }

  /** How a target is; null: it has no check. */
  healthOf(target: string): HealthReport | null {
    const check = this.#checks.get(target);
    const known = this.#health.get(target);
    if (check === undefined) return null;
    const forMs = known === undefined ? null : Math.round(this.#parts.clock.now() - known.since);
    return { check, healthy: known?.healthy ?? null, forMs, reason: known?.reason ?? null };
  }

  /** All that have checks. */
  targets(): readonly string[] {
    return [...this.#checks.keys()];
  }

  /** Gives a target a check, by `readHealth`, or takes it away. It is probed from the next `present` on. */
  set(target: string, check: string | undefined): void {
    if (check === this.#checks.get(target)) return;
    const value = check === undefined ? undefined : JSON.stringify({ version: VERSION, check });
    this.#parts.store.putAll([[HEALTH_PREFIX + target, value]]);
    if (check === undefined) this.#checks.delete(target);
    else this.#checks.set(target, check);
    this.absent(target);
  }

  /** A target is there, with these addresses. */
  present(target: string, addresses: readonly Ip[]): void {
    const found = this.#targetOf(target, addresses);
    if (found === undefined) return this.absent(target);
    const text = JSON.stringify(found);
    if (this.#probed.get(target) === text) return;
    this.#probed.set(target, text);
    this.#parts.service.probe(target, found);
  }

  /** A target is not there; it may return. */
  absent(target: string): void {
    if (!this.#probed.delete(target)) return;
    this.#health.delete(target);
    this.#parts.service.probe(target, undefined);
    this.#parts.tell(target, true);
  }

  /** A target is attached no more. */
  forgotten(target: string): void {
    this.absent(target);
    if (!this.#checks.delete(target)) return;
    try {
      this.#parts.store.remove(HEALTH_PREFIX + target);
    } catch (thrown) { // the next start finds that there is no such target
      this.#parts.logger.warn("health check not forgotten", { target, reason: messageOf(thrown) });
    }
  }

  /** After a start: targets that are attached no more have no checks. */
  keepOnly(targets: ReadonlySet<string>): void {
    for (const target of [...this.#checks.keys()]) if (!targets.has(target)) this.forgotten(target);
  }

  /** A target answers, or no longer does. */
  heard(target: string, health: Health): void {
    if (!this.#probed.has(target)) return;
    const { clock, logger, tell } = this.#parts;
    const { healthy } = health;
    const before = this.#health.get(target);
    const reason = health.healthy ? before?.reason ?? null : health.reason;
    const since = before?.healthy === healthy ? before.since : clock.now();
    this.#health.set(target, { healthy, since, reason });
    const fields = { target, check: this.#checks.get(target) };
    if (health.healthy) logger.info("target answers", fields);
    else logger.warn("target does not answer", { ...fields, reason: health.reason });
    tell(target, healthy);
  }

  #targetOf(target: string, addresses: readonly Ip[]): ProbedTarget | undefined {
    const text = this.#checks.get(target);
    const ip = addresses.find(isIpv4) ?? addresses[0];
    const parsed = text === undefined ? undefined : parseHealthCheck(text);
    if (parsed === undefined || ip === undefined) return undefined;
    try {
      const netns = this.#parts.namespaceOf(target);
      return netns === undefined ? undefined : { netns, ip, ...parsed };
    } catch (thrown) {
      this.#parts.logger.debug("target not found", { target, reason: messageOf(thrown) });
      return undefined;
    }
  }
}

function readStored(value: string): string | undefined {
  try {
    const { check, version } = JSON.parse(value) as { readonly check?: unknown; readonly version?: unknown };
    return version === VERSION && typeof check === "string" && parseHealthCheck(check) ? check : undefined;
  } catch {
    return undefined;
  }
}
