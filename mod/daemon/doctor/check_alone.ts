/** `meshnet check HOST` where no daemon runs, or none answers. */
import type { CheckReport } from "../../control/doctor_types.ts";
import type { MeshnetError } from "../../core/errors.ts";
import { SystemClock } from "../../sys/clock.ts";
import { type Flags, loadConfig } from "../config/config.ts";
import { checkHost } from "./check_host.ts";

/** Looks from this process, with the settings that `up` would have. `why` the daemon was not asked is a line of its own. */
export async function checkWithoutDaemon(
  host: string,
  { flags, why }: { readonly flags: Flags; readonly why: MeshnetError },
): Promise<CheckReport> {
  const config = await loadConfig(flags);
  const about = why.code === "control/not-running"
    ? {
      state: "unknown" as const,
      text: "it does not run on this host, so what only traffic proves is not known",
    }
    : { state: "bad" as const, text: why.message };
  const command = why.code === "control/not-running" ? "meshnet up" : commandIn(why.hint);
  const fix = command === undefined ? null : { on: "this host", command, nft: null, iptables: null };
  return await checkHost(host, {
    ...{ config, clock: new SystemClock(), daemon: undefined },
    about: { what: "daemon", ...about, fix },
  });
}

/** The first command of a hint. */
function commandIn(hint: string | undefined): string | undefined {
  return /`([^`]+)`/.exec(hint ?? "")?.[1];
}
