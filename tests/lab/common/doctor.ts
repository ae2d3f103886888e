/** What `meshnet doctor` says in a lab. */
import assert from "node:assert/strict";
import type { DoctorReport, FaultReport } from "../../../mod/control/doctor_types.ts";
import { note } from "./notes.ts";
import { exec, inNamespace, until } from "./process.ts";
import { type Host, PROGRAM } from "./world.ts";

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
    return last.faults.find((fault) => isAbout(fault, words));
  }, { ms, everyMs: 250 }).catch((error) => {
    throw new Error(`${error}: he says ${JSON.stringify(last?.faults, null, 1)}`);
  });
  note(`${fault.message} | ${fault.fix}`);
  assert.doesNotMatch(fault.message, /\.$/);
  return fault;
}

function isAbout({ fix, message }: FaultReport, words: RegExp): boolean {
  return words.test(`${message}\n${fix ?? ""}`);
}

/** Waits until the doctor finds nothing on these hosts. That a way fails by turns is told for a minute. */
export async function healthy(hosts: readonly Host[], ms = 90_000): Promise<void> {
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

/** Waits until the doctor names one fault in these words and no other, so that nothing is told that only follows. */
export async function onlyNamed(host: Host, words: RegExp, ms = 40_000): Promise<FaultReport> {
  await named(host, words, ms);
  let last: DoctorReport | undefined;
  return await until("nothing else is named", async () => {
    last = await examine(host);
    const [fault, ...others] = last.faults;
    return fault !== undefined && others.length === 0 && isAbout(fault, words) && fault;
  }, { ms, everyMs: 250 }).catch((error) => {
    throw new Error(`${error}: he says ${JSON.stringify(last?.faults, null, 1)}`);
  });
}

/** Does on a host what a fix says: its first command, as it is written. `meshnet up` starts the daemon again, with what it was
 * started with before. */
export async function mend(
  host: Host,
  fault: Pick<FaultReport, "fix">,
  ...before: readonly string[]
): Promise<void> {
  await runFix(host, commandOf(fault), ...before);
}

/** The same for a command. */
export async function runFix(host: Host, command: string, ...before: readonly string[]): Promise<void> {
  note(`on ${host.netns}: ${command}`);
  const up = /^meshnet up\b *(.*)$/.exec(command);
  if (up === null) {
    const program = PROGRAM.map((word) => `'${word}'`).join(" ");
    const script = `meshnet() { ${program} "$@"; }; iptables() { iptables-nft "$@"; }; ${command}`;
    await exec(inNamespace(undefined, ["sh", "-c", script]), { netns: host.netns, env: host.env });
    return;
  }
  if (host.daemon.code === undefined) await host.run("down");
  await host.daemon.ended();
  await host.up(...before, ...up[1]!.split(" ").filter(Boolean));
}

/** The first command of a fault's fix. */
export function commandOf({ fix }: Pick<FaultReport, "fix">): string {
  const [, command] = /`([^`]+)`/.exec(fix ?? "") ?? /(?:^|: )((?:nft|ip6?tables)[^;]*)/.exec(fix ?? "") ??
    [];
  if (command === undefined) throw new Error(`There is no command in ${fix}`);
  return command;
}
