/** What `meshnet doctor` says in a lab. */
import assert from "node:assert/strict";
import type { DoctorReport, FaultReport } from "../../../mod/control/doctor_types.ts";
import { note } from "./notes.ts";
import { until } from "./process.ts";
import type { Host } from "./world.ts";

/** Asks the doctor. His exit code must be that of his report. */
export async function examine(host: Host): Promise<DoctorReport> {
  const { code, stderr, stdout } = await host.attempt("doctor", "--json");
  assert.match(stdout, /^\{/, stderr);
  const report = JSON.parse(stdout) as DoctorReport;
  assert.equal(code, report.healthy ? 0 : 4, stdout);
  assert.equal(report.healthy, report.faults.length === 0, stdout);
  return report;
}

/** Waits until the doctor names a fault in these words, and gives it. */
export async function named(host: Host, words: RegExp, ms = 30_000): Promise<FaultReport> {
  let last: DoctorReport | undefined;
  const fault = await until(`the doctor says ${words}`, async () => {
    last = await examine(host);
    return last.faults.find(({ fix, message }) => words.test(`${message}\n${fix ?? ""}`));
  }, { ms, everyMs: 250 }).catch((error) => {
    throw new Error(`${error}: he says ${JSON.stringify(last?.faults, null, 1)}`);
  });
  note(`${fault.message} | ${fault.fix}`);
  assert.doesNotMatch(fault.message, /\.$/);
  return fault;
}

/** Waits until the doctor finds nothing on these hosts. */
export async function healthy(hosts: readonly Host[], ms = 60_000): Promise<void> {
  for (const host of hosts) {
    let last: DoctorReport | undefined;
    await until(`${host.netns} is healthy`, async () => (last = await examine(host)).healthy, {
      ms,
      everyMs: 250,
    }).catch((error) => {
      throw new Error(`${error}: the doctor says ${JSON.stringify(last?.faults, null, 1)}`);
    });
  }
}

/** The first command of a fault's fix. */
export function commandOf({ fix }: Pick<FaultReport, "fix">): string {
  const [, command] = /`([^`]+)`/.exec(fix ?? "") ?? /(?:^|: )((?:nft|ip6?tables)[^;]*)/.exec(fix ?? "") ??
    [];
  if (command === undefined) throw new Error(`There is no command in ${fix}`);
  return command;
}
