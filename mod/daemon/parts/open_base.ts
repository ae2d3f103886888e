/** Clock, chance and log: what every other part is given. */
import type { LogEvent } from "../../core/log_events.ts";
import { Faults } from "../../core/faults.ts";
import type { Clock, LogFields, Logger, Random } from "../../core/ports.ts";
import { SystemClock } from "../../sys/clock.ts";
import { logReader, openLog } from "../../sys/log_sink.ts";
import { SystemRandom } from "../../sys/random.ts";
import type { Config } from "../config/config.ts";
import { noting } from "../history.ts";

/** What every other part is given. It holds nothing that must be given back. */
export interface Base {
  /** Begins with the process. */
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Hears of each line of the log; a later part says who takes it. */
  readonly told: { take: (event: LogEvent, fields: LogFields) => void };
  /** Takes what fails where nobody waits for it. */
  readonly faults: Faults;
  /** Aborted when the daemon ends. */
  readonly signal: AbortSignal;
}

/** Opens the log, and says in it what is odd about the configuration. */
export function openBase(
  config: Pick<Config, "logFormat" | "logLevel" | "warnings">,
  signal: AbortSignal,
): Base {
  const clock = new SystemClock();
  const told: Base["told"] = { take: () => {} };
  const log = openLog({ level: config.logLevel, format: config.logFormat, reader: logReader() });
  const logger = noting(log, (event, fields) => told.take(event, fields));
  for (const reason of config.warnings) logger.warn("odd configuration", { reason });
  const faults = new Faults({ logger, clock });
  return { clock, random: new SystemRandom(), logger, told, faults, signal };
}
