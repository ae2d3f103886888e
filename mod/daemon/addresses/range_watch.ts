/** Tells of routes of this host that lead to addresses of the range, as a VPN may bring them while the daemon runs. */
import type { Problem } from "../../control/api_types.ts";
import type { Cidr } from "../../core/addr.ts";
import type { Logger } from "../../core/ports.ts";
import { hiddenByRange, type HostRoute } from "../checks/routes.ts";

/** What is needed. */
export interface RangeWatchParts {
  readonly range: Cidr;
  readonly routes: () => readonly HostRoute[];
  readonly logger: Pick<Logger, "info" | "warn">;
}

/** Looks at the routes when they have changed and somebody asks. */
export class RangeWatch {
  readonly #parts: RangeWatchParts;
  #isStale = true;
  #found: Problem | undefined;

  constructor(parts: RangeWatchParts) {
    this.#parts = parts;
  }

  /** This host's routes may have changed. */
  changed(): void {
    this.#isStale = true;
  }

  /** What is hidden now. */
  problems(): readonly Problem[] {
    if (this.#isStale) this.#look();
    return this.#found === undefined ? [] : [this.#found];
  }

  #look(): void {
    const { logger, range, routes } = this.#parts;
    this.#isStale = false;
    const before = this.#found?.message;
    this.#found = hiddenByRange(range, routes());
    if (this.#found?.message === before) return;
    if (this.#found === undefined) logger.info("no route leads to addresses of the range any more");
    else logger.warn("routes lead to addresses of the range", { reason: this.#found.message });
  }
}
