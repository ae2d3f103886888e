/** The parts of a test run: each a program with a time limit, its tests counted from Deno's own report. */
import { command, exists, root, temporaryFolder } from "./run.ts";

const MINUTE = 60_000;

/** One part. */
export interface Part {
  readonly name: string;
  /** Arguments of deno. */
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** Counts every test that `deno test` reports; another program counts as one. */
  readonly counted?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** How many tests came out how. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The names of those that failed, each with the first lines of its reason. */
  readonly failures: readonly string[];
}

/** A part of `deno test`. */
export function tests(
  name: string,
  paths: readonly string[],
  timeoutMs: number,
  flags: readonly string[] = [],
): Part {
  return { name, args: ["test", "-A", "--frozen", ...flags, ...paths], timeoutMs, counted: true };
}

/** What needs neither root nor a network: style, types, documentation; units, simulation and rules of the tree. The
 * longest comes first, so that the others run beside it. */
export const OK_PARTS: readonly Part[] = [
  tests("simulation", ["tests/sim"], 1_200_000),
  { name: "format", args: ["fmt", "--check"], timeoutMs: 400_000 },
  { name: "lint", args: ["lint"], timeoutMs: 400_000 },
  { name: "types", args: ["check", "--frozen", "."], timeoutMs: 900_000 },
  { name: "documentation", args: ["run", "-A", "mod/tasks/doc_lint.ts"], timeoutMs: 300_000 },
  tests("unit", ["tests/unit"], 1_200_000, ["--parallel"]),
  tests("checks", ["tests/checks"], 600_000),
];

/** What runs commands and peers as processes, each part with the machine for itself. */
export const PROCESS_PARTS: readonly Part[] = [
  tests("commands", ["tests/cli"], 12 * MINUTE),
  tests("interop", ["tests/interop"], 10 * MINUTE),
];

/** Files of scenarios that take longest: begun last, they would run alone while a processor has nothing to do. */
const LONGEST = ["network", "life", "mtu", "hostile"].map((name) => `host/${name}_test.ts`);
/** What a file of scenarios with a container engine begins with. */
const WITH_ENGINE = /from "\.\/(?:engine|podman)[a-z_]*\.ts"/;

/** The parts of the lab, each a process of its own, which its namespaces are named after. */
export interface LabParts {
  /** Run side by side, the longest first: the kernels in user-mode Linux, and files of scenarios on this machine's own. */
  readonly together: readonly Part[];
  /** Run one by one, with nothing beside them: each start of a container is some dozen programs, which leave nothing of a
   * processor to others. */
  readonly alone: readonly Part[];
}

/** See LabParts. `other`: the folder of a second engine; undefined: there is none. */
export function labParts(other: string | undefined): LabParts {
  const files = [...Deno.readDirSync(`${root}/tests/lab/host`)].map((entry) => `host/${entry.name}`)
    .filter((name) => name.endsWith("_test.ts")).sort();
  const hasEngine = (name: string) => WITH_ENGINE.test(Deno.readTextFileSync(`${root}/tests/lab/${name}`));
  const scenarios = (name: string) =>
    tests(`lab ${name.replace(/_test\.ts$/, "")}`, [`tests/lab/${name}`], 15 * MINUTE, ["--no-check"]);
  const others = files.filter((name) => !LONGEST.includes(name) && !hasEngine(name));
  return {
    together: [
      tests("lab in user-mode Linux", ["tests/lab/lab_test.ts"], 65 * MINUTE, ["--no-check"]),
      ...[...LONGEST, "attach_host_test.ts", ...others].map(scenarios),
    ],
    alone: [...engineParts(other), ...files.filter(hasEngine).map(scenarios)],
  };
}

/** What is most likely to differ between versions of the engine. */
const OF_ENGINES = ["quick_start", "mesh_names", "containers"];

/** Scenarios with the engine that is in a folder, in place of this machine's own. */
function engineParts(folder: string | undefined): readonly Part[] {
  if (folder === undefined) return [];
  return OF_ENGINES.map((name) => ({
    ...tests(
      `lab host/${name} with Debian ${folder.slice(folder.lastIndexOf("/") + 1)}`,
      [
        `tests/lab/host/${name}_test.ts`,
      ],
      15 * MINUTE,
      ["--no-check"],
    ),
    env: { LAB_ENGINE: folder },
  }));
}

/** The demonstrations, of the file that was built. They wait most of their time, too. */
export const DEMO_PARTS: readonly Part[] = [["ovs"], []].map((words) => ({
  name: ["demo", ...words].join(" "),
  args: ["run", "-A", "mod/tasks/demo.ts", ...words],
  timeoutMs: 20 * MINUTE,
  env: { DEMO_BUILT: "1" },
}));

/** Runs a part, prints its name, time and result, and its whole output when it failed or `loud` is set. */
export async function runPart(part: Part, { loud = false } = {}): Promise<Tally> {
  using scratch = temporaryFolder();
  const report = `${scratch.path}/report.xml`;
  const started = performance.now();
  const [task, ...args] = part.args;
  const counting = part.counted ? [`--junit-path=${report}`] : [];
  const child = command([Deno.execPath(), task!, ...counting, ...args], {
    cwd: root,
    env: { NO_COLOR: "1", ...part.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, part.timeoutMs);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const text = part.counted && exists(report) ? Deno.readTextFileSync(report) : undefined;
  // Tests that nobody counted do not pass.
  const tally = settle(part.name, text, code === 0 && (!part.counted || text !== undefined));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (loud || tally.failed > 0) {
    await Deno.stdout.write(stdout);
    await Deno.stdout.write(stderr);
  }
  const limit = timedOut ? `; stopped after ${part.timeoutMs / 1000} s` : "";
  console.log(`${part.name}: ${summary(tally)} (${seconds} s${limit})`);
  return tally;
}

/** The counts of a part's report in JUnit's format. A part that failed has at least one failure, whatever it reported. */
export function settle(part: string, report: string | undefined, succeeded: boolean): Tally {
  const count = (pattern: RegExp) => report?.match(pattern)?.length ?? 0;
  const skipped = count(/<skipped\b/g);
  const reported = [...report?.matchAll(FAILURE) ?? []].map(([, name, reason]) =>
    `${plain(name!)}\n${shortened(plain(reason!))}`
  );
  const failures = succeeded || reported.length > 0 ? reported : ["it ended with an error"];
  const failed = count(/<(?:failure|error)\b/g);
  return {
    passed: report === undefined ? Number(succeeded) : count(/<testcase\b/g) - skipped - failed,
    failed: succeeded ? failed : Math.max(failed, 1),
    skipped,
    failures: failures.map((text) => `${part}: ${text}`),
  };
}

/** A test that failed: its name and its reason. Both are escaped, so neither holds an angle bracket. */
const FAILURE = /<testcase name="([^"]*)"[^>]*>\s*<(?:failure|error)\b[^>]*>([^<]*)</g;

/** So much of a reason says what went wrong; the rest is in the part's own output. Where only the end of a run's output is
 * kept, all reasons shall be in it. */
const REASON = { lines: 12, characters: 500 };

/** A reason without what is in the part's own output: of its stack only the first line in a test. */
function shortened(reason: string): string {
  const lines = reason.split("\n").filter((line) => line.trim() !== "");
  const isStack = (line: string) => /^\s+at /.test(line);
  const place = lines.find((line) => isStack(line) && line.includes("/tests/"));
  const kept = lines.filter((line) => line === place || !isStack(line)).slice(0, REASON.lines).join("\n");
  return kept.length <= REASON.characters ? kept : `${kept.slice(0, REASON.characters)} ...`;
}

/** A text of XML without its escapes. */
function plain(text: string): string {
  const signs: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(\w+);/g, (whole, name) => signs[name] ?? whole);
}

/** The sum of tallies. */
export function sum(tallies: readonly Tally[]): Tally {
  const total = (pick: (tally: Tally) => number) => tallies.reduce((all, tally) => all + pick(tally), 0);
  return {
    passed: total((t) => t.passed),
    failed: total((t) => t.failed),
    skipped: total((t) => t.skipped),
    failures: tallies.flatMap(({ failures }) => failures),
  };
}

/** What failed and why, then `N passed, N failed, N skipped` as the last line. */
export function describe(tally: Tally): string {
  return [...tally.failures.map((text) => `failed: ${text}`), summary(tally)].join("\n");
}

function summary({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Runs the lab. */
export async function runLab(other: string | undefined): Promise<readonly Tally[]> {
  const { alone, together } = labParts(other);
  return [...await runParts(together, 2, { loud: true }), ...await runParts(alone, 1, { loud: true })];
}

/** Runs parts, so many at a time, in order. */
export async function runParts(
  parts: readonly Part[],
  atOnce: number,
  options: { readonly loud?: boolean } = {},
): Promise<readonly Tally[]> {
  const waiting = [...parts];
  const tallies: Tally[] = [];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      tallies.push(await runPart(part, options));
    }
  }));
  return tallies;
}
