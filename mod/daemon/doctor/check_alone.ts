/** `meshnet check HOST` where no daemon runs. */
import type { CheckReport } from "../../control/doctor_types.ts";
import { SystemClock } from "../../sys/clock.ts";
import { type Flags, loadConfig } from "../config/config.ts";
import { checkHost } from "./check_host.ts";

/** Looks from this process, with the settings that `up` would have. */
export async function checkWithoutDaemon(host: string, flags: Flags): Promise<CheckReport> {
  const config = await loadConfig(flags);
  return await checkHost(host, { config, clock: new SystemClock(), daemon: undefined });
}
