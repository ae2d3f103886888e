/** What is said of a daemon that is not there. Pure. */
import type { FaultReport } from "../control/doctor_types.ts";
import { spanOf } from "./left_hosts.ts";

/** The fault of a daemon that does not run, with why its last start failed. `last`: undefined: it did not fail. */
export function afterStart(
  { check, fix, message }: FaultReport,
  { last, now }: {
    readonly last:
      | { readonly at: number; readonly message: string; readonly hint: string | null }
      | undefined;
    /** Milliseconds since 1970, as `last.at`. */
    readonly now: number;
  },
): FaultReport {
  if (last === undefined) return { check, fix, message };
  const what = message.replace(/ \(.*\)$/, "");
  const ago = spanOf(Math.max(0, now - last.at));
  const then = "Then start it again: `meshnet up`, or `systemctl restart meshnet` where it is a service";
  return {
    check,
    message: `${what}: its last start failed ${ago} ago: ${last.message}`,
    fix: last.hint === null ? then : `${last.hint}. ${then}`,
  };
}
