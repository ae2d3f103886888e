/** `deno task bench [NAME...]`: measures speed and prints the table of the README. Names: first-ping tcp misses idle cli,
 * and seven that print tables of their own: on this machine's own kernel `deno task bench sleeve [CANDIDATE...]` (MESHNET_BEFORE names another executable to be measured beside it),
 * `deno task bench ebpf [ROUNDS]`, `deno task bench flows [PACE...]` (MESHNET_BEFORE, too), `deno task bench scale`, `deno task bench docker` and `deno task bench dns`, and `deno task bench crowd [HOSTS...]`, a simulation. */
import { crowdRows } from "../../tests/bench/crowd_rounds.ts";
import { type Figures, markdownTable, median } from "../../tests/bench/figures.ts";
import { measureDocker } from "../../tests/bench/docker_rounds.ts";
import { measureDns } from "../../tests/bench/dns_rounds.ts";
import { measureEbpf } from "../../tests/bench/ebpf_rounds.ts";
import { measureFlows } from "../../tests/bench/flow_rounds.ts";
import { measureScale } from "../../tests/bench/scale_rounds.ts";
import { compareSleeve } from "../../tests/bench/sleeve_rounds.ts";
import { LabProgram } from "../../tests/lab/program.ts";
import { build } from "./build.ts";
import { command, temporaryFolder } from "./run.ts";
import { ensure } from "./setup.ts";

const LIFETIME_SECONDS = 900;
/** How many times each command runs in turn with an empty program, and how much longer it may take. */
const COMMAND_ROUNDS = 41;
const COMMAND_BAR = 1.3;
/** Bars that what was measured does not meet. */
const notMet: string[] = [];

const wanted = Deno.args;
if (wanted[0] === "crowd") Deno.exit(crowdTable(wanted.slice(1).map(Number)));
await ensure(wanted[0] === "sleeve" || wanted[0] === "dns" ? "bench" : "lab");
if (wanted[0] === "dns") Deno.exit(await dns());
const exe = await build();
if (wanted[0] === "sleeve") Deno.exit(await sleeve(wanted.slice(1)) ? 0 : 1);
if (wanted[0] === "ebpf") Deno.exit(await ebpf(wanted[1]));
if (wanted[0] === "flows") Deno.exit(await flows(wanted.slice(1).map(Number)));
if (wanted[0] === "scale") Deno.exit(await scale());
if (wanted[0] === "docker") Deno.exit(await docker());
const figures: Figures[] = [];
if (wanted.length !== 1 || wanted[0] !== "cli") await measureInside();
const rows = [["What", "Bar", "Measured"], ...summarise(figures)];
if (wanted.length === 0 || wanted.includes("cli")) rows.push(...await commandTimes());
console.log(
  `\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${machine()}:\n\n${markdownTable(rows)}`,
);
for (const bar of notMet) console.log(`Not met: ${bar}`);
Deno.exit(figures.some((figure) => figure.kind === "failed") ? 1 : 0);

/** What very many hosts that share one range cost each other. */
function crowdTable(counts: readonly number[]): number {
  const rows = crowdRows(counts.length > 0 ? counts : undefined);
  console.log(markdownTable([["What", "Virtual time", "Messages a host", "Received by a host"], ...rows]));
  return 0;
}

/** User-space links against each other and against others; whether all could be measured. */
async function sleeve(only: readonly string[]): Promise<boolean> {
  const { table, missed, failed } = await compareSleeve(only);
  console.log(`\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${hardware()}:\n\n${table}\n`);
  for (const bar of missed) console.log(`Not met: ${bar}`);
  for (const failure of failed) console.error(`Failed: ${failure}`);
  return failed.length === 0;
}

/** Hosts that switch by programs, against the kernel's own tunnel and the user-space path. */
async function ebpf(rounds: string | undefined): Promise<number> {
  const { failed, missed, rows } = await measureEbpf(rounds === undefined ? undefined : Number(rounds));
  console.log(
    `\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${hardware()}:\n\n${markdownTable(rows)}\n`,
  );
  for (const bar of missed) console.log(`Not met: ${bar}`);
  for (const failure of failed) console.error(`Failed: ${failure}`);
  return failed.length === 0 ? 0 : 1;
}

/** How many new flows a second two hosts take up. */
async function flows(paces: readonly number[]): Promise<number> {
  console.log(
    `\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${hardware()}:\n\n${await measureFlows(
      paces.length > 0 ? paces : undefined,
    )}\n`,
  );
  return 0;
}

/** Questions about names, against other name servers. */
async function dns(): Promise<number> {
  const { missed, rows } = await measureDns();
  console.log(
    `\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${hardware()}:\n\n${markdownTable(rows)}\n`,
  );
  for (const bar of missed) console.log(`Not met: ${bar}`);
  return 0;
}

/** What containers of Docker take longer to start. */
async function docker(): Promise<number> {
  const { missed, rows } = await measureDocker();
  const table = markdownTable([["What", "Bar", "Measured"], ...rows]);
  console.log(`\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${hardware()}:\n\n${table}`);
  for (const bar of missed) console.log(`Not met: ${bar}`);
  return 0;
}

/** How fast hosts find each other, and what idle ones cost. */
async function scale(): Promise<number> {
  const rows = [["What", "Bar", "Measured"], ...await measureScale()];
  console.log(
    `\nMeasured on ${new Date().toISOString().slice(0, 10)}, ${hardware()}:\n\n${markdownTable(rows)}`,
  );
  return rows.some((row) => row[2]!.startsWith("failed")) ? 1 : 0;
}

/** Runs the measuring program inside user-mode Linux and collects what it reports. */
async function measureInside(): Promise<void> {
  using program = await LabProgram.bundle("tests/bench/inside.ts");
  await using uml = program.boot({
    // Unpacked on a disk, as on a real host: memory is measured too, and pages of files count differently from others.
    env: { BENCH_ONLY: JSON.stringify(wanted), MESHNET_CACHE_DIR: `${program.folder}/cache` },
    lifetimeSeconds: LIFETIME_SECONDS,
  });
  for await (const line of uml.lines()) {
    console.log(line);
    figures.push(JSON.parse(line));
    if (figures.at(-1)!.kind === "done") return;
  }
  figures.push({ kind: "failed", bench: "all", why: `the kernel ended early:\n${await uml.console()}` });
}

/** One row for each thing that was measured. Notes the bars that were not met. */
function summarise(all: readonly Figures[]): string[][] {
  const result: string[][] = [];
  const firstPings: (readonly number[])[] = [];
  const row = (what: string, bar: string, measured: string, met = true): void => {
    result.push([what, bar, measured]);
    if (!met) notMet.push(`${what}: ${measured}, not ${bar}`);
  };
  for (const figure of all) {
    if (figure.kind === "failed") row(figure.bench, "", `failed: ${figure.why.split("\n")[0]}`);
    if (figure.kind === "first-ping") firstPings.push(figure.phases);
    if (figure.kind === "tcp") {
      const ratio = median(figure.ours.map((rate, i) => rate / figure.theirs[i]! * 100));
      const [ours, theirs] = [median(figure.ours).toFixed(2), median(figure.theirs).toFixed(2)];
      const what = `TCP over fastdp against kernel VXLAN + bridge, MTU ${figure.mtu}`;
      row(what, ">= 98 %", `${ratio.toFixed(0)} % (${ours} against ${theirs} Gbit/s)`, ratio >= 97.5);
    }
    if (figure.kind === "misses-best") {
      const { asked, sent } = figure;
      const measured = `${count(asked)} asked for, ${count(sent)} sent and all installed`;
      row("New flows a second, none lost", ">= 6,000", measured, asked >= 6_000);
    }
    if (figure.kind === "idle") {
      const { rssMb, cpuPercent } = figure;
      row("Idle daemon with one peer, memory (RSS)", "<= 52 MB", `${rssMb.toFixed(1)} MB`, rssMb <= 52);
      row("Idle daemon with one peer, processor", "none", `${cpuPercent.toFixed(2)} %`);
    }
  }
  if (firstPings.length > 0) {
    const names = ["answering", "connected", "attached", "answer"];
    const total = median(firstPings.map((phases) => phases.reduce((sum, phase) => sum + phase, 0)));
    const shares = names.map((name, i) => `${name} ${count(median(firstPings.map((phases) => phases[i]!)))}`);
    row("`up` on two hosts to the first ping", "as it comes", `${count(total)} ms (${shares.join(", ")})`);
  }
  return result;
}

/** A whole number: `12,345`. */
function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Time of commands on this machine, start of the process included, each turn by turn with an empty program. */
async function commandTimes(): Promise<string[][]> {
  using scratch = temporaryFolder();
  const empty = `${scratch.path}/empty.js`;
  Deno.writeTextFileSync(empty, "");
  const nothing = [Deno.execPath(), "run", "--no-config", "--no-remote", "--no-npm", empty];
  const env = { MESHNET_RUN_DIR: scratch.path };
  const time = async (argv: readonly string[]) => {
    const started = performance.now();
    await command(argv, { env, stdout: "null", stderr: "null" }).output();
    return performance.now() - started;
  };
  const rows: string[][] = [];
  const against = [
    " against an empty program of Deno",
    " against the same",
    " without a daemon, against the same",
  ];
  for (const [i, name] of ["version", "help", "status"].entries()) {
    const [ours, bare]: [number[], number[]] = [[], []];
    for (let round = -1; round < COMMAND_ROUNDS; round++) {
      const pair = [await time([exe, name]), await time(nothing)] as const;
      if (round < 0) continue; // the first one fills caches
      ours.push(pair[0]);
      bare.push(pair[1]);
    }
    const ratio = median(ours.map((ms, round) => ms / bare[round]!));
    if (ratio > COMMAND_BAR) {
      notMet.push(`meshnet ${name} takes ${ratio.toFixed(2)} times an empty program, not <= ${COMMAND_BAR}`);
    }
    const measured = `${ratio.toFixed(2)} times (${median(ours).toFixed(0)} against ${
      median(bare).toFixed(0)
    } ms)`;
    rows.push([`\`meshnet ${name}\`${against[i]}`, `<= ${COMMAND_BAR}`, measured]);
  }
  return rows;
}

/** The machine in words. */
function hardware(): string {
  const model = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ??
    "an unknown processor";
  const kernel = Deno.osRelease().split(/[-+]/)[0];
  return `${navigator.hardwareConcurrency} cores of ${model}, Linux ${kernel}`;
}

/** The machine, and where on it. */
function machine(): string {
  return `${hardware()}; rows about traffic and the daemon inside user-mode Linux (one core, system calls 10 to 50 ` +
    "times slower)";
}
