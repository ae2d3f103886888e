/** `deno task bench dns`: questions a second, and what each costs, turn by turn with other name servers on loopback. */
import { waitReadable } from "../../ffi/poll.ts";
import { StreamSocket } from "../../ffi/stream_socket.ts";
import { parseIp } from "../../mod/core/addr.ts";
import { questionFor } from "../../mod/dns/upstream/follow.ts";
import { encodeName } from "../../mod/wire/dns/dns_text.ts";
import { Background, exec, until } from "../lab/common/process.ts";
import { cpuSeconds } from "../lab/common/usage.ts";
import { benchName } from "./dns_names.ts";
import { answers, PORT, type Rival, startRivals, thread } from "./dns_rivals.ts";
import { median } from "./figures.ts";

const ROUNDS = 5;
const SECONDS = 2;
const QUESTIONS = 10_000;
const COUNTS = [10, 10_000] as const;
const VOLUME = new URL("dns_volume.ts", import.meta.url).pathname;
const BARS = { ratio: 1.2, cpu: 0.6, p99Ms: 1, forwardMs: 0.1 } as const;

/** What one run of dnsperf measured. */
interface Run {
  readonly perSecond: number;
  /** Processor time of the server for each answer, in microseconds. */
  readonly cpuUs: number;
}

/** Tables in Markdown rows, and the bars that were not met. */
export interface DnsFigures {
  readonly rows: readonly (readonly string[])[];
  readonly missed: readonly string[];
}

/** Measures everything; takes about three minutes. */
export async function measureDns(): Promise<DnsFigures> {
  const rows = [["", "Names", "Questions/s", "of dnsmasq", "CPU us each", "of dnsmasq", "p99 at half load"]];
  const missed: string[] = [];
  const bar = (what: string, value: number, met: boolean) =>
    met || missed.push(`${what}: ${value.toFixed(2)}`);
  for (const names of COUNTS) {
    await using undo = new AsyncDisposableStack();
    const folder = temporary(undo);
    const rivals = await startRivals(folder, names, undo);
    const questions = `${folder}/questions`;
    Deno.writeTextFileSync(
      questions,
      Array.from({ length: names }, (_, i) => `${benchName(i)} A\n`).join(""),
    );
    const runs = new Map<Rival, Run[]>(rivals.map((rival) => [rival, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const rival of round % 2 === 0 ? rivals : rivals.toReversed()) {
        runs.get(rival)!.push(await load(rival, questions));
      }
    }
    const theirs = runs.get(rivals.find(({ name }) => name === "dnsmasq")!)!;
    for (const rival of rivals) {
      const own = runs.get(rival)!;
      const speed = median(own.map(({ perSecond }, i) => perSecond / theirs[i]!.perSecond));
      const cpu = median(own.map(({ cpuUs }, i) => cpuUs / theirs[i]!.cpuUs));
      const perSecond = median(own.map((run) => run.perSecond));
      const p99 = await p99Ms(rival, questions, perSecond / 2);
      if (rival.name === "meshnet") {
        bar(
          `questions a second of dnsmasq's, ${names} names, not >= ${BARS.ratio}`,
          speed,
          speed >= BARS.ratio,
        );
        bar(`processor of dnsmasq's, ${names} names, not <= ${BARS.cpu}`, cpu, cpu <= BARS.cpu);
        bar(`p99 at half load, ${names} names, not <= ${BARS.p99Ms} ms`, p99, p99 <= BARS.p99Ms);
      }
      const cpuUs = median(own.map((run) => run.cpuUs));
      rows.push([
        ...[rival.name, names.toLocaleString("en-US"), Math.round(perSecond).toLocaleString("en-US")],
        ...[speed.toFixed(2), cpuUs.toFixed(1), cpu.toFixed(2), `${p99.toFixed(2)} ms`],
      ]);
      console.log(rows.at(-1)!.join("  "));
    }
  }
  const extra = await measureForwarding();
  bar(`time that forwarding adds, not <= ${BARS.forwardMs} ms`, extra, extra <= BARS.forwardMs);
  rows.push([
    "meshnet, a question passed on: more than asking directly",
    "",
    "",
    "",
    "",
    "",
    `${extra.toFixed(3)} ms`,
  ]);
  const { heapMb, names, octets } = JSON.parse(
    await exec([Deno.execPath(), "run", "-A", "--frozen", "--v8-flags=--expose-gc", VOLUME], {
      purpose: "bench",
    }),
  );
  const unused = ["", "", "", ""];
  rows.push(
    [
      "meshnet, memory of a host's directory",
      names.toLocaleString("en-US"),
      ...unused,
      `${heapMb.toFixed(0)} MB`,
    ],
    [
      "meshnet, what a host tells a neighbour that has the same",
      names.toLocaleString("en-US"),
      ...unused,
      `${octets} octets`,
    ],
  );
  return { rows, missed };
}

function temporary(undo: AsyncDisposableStack): string {
  const path = Deno.makeTempDirSync({ prefix: "meshnet-bench-" });
  undo.defer(() => Deno.removeSync(path, { recursive: true }));
  return path;
}

async function dnsperf(address: string, ...more: readonly string[]): Promise<string> {
  return await exec(["dnsperf", "-s", address, "-p", `${PORT}`, ...more], { purpose: "bench" });
}

/** As fast as it goes. */
async function load({ address, name, process }: Rival, questions: string): Promise<Run> {
  const before = cpuOf(process.pid);
  const text = await dnsperf(address, "-d", questions, "-c", "4", "-l", `${SECONDS}`);
  const [, completed, share] = /Queries completed:\s+([0-9]+) \(([0-9.]+)%\)/.exec(text)!;
  if (Number(share) < 99) throw new Error(`${name} lost questions:\n${text}`);
  const perSecond = Number(/Queries per second:\s+([0-9.]+)/.exec(text)![1]);
  return { perSecond, cpuUs: (cpuOf(process.pid) - before) * 1e6 / Number(completed) };
}

/** Of a process and those that it has started. */
function cpuOf(pid: number): number {
  const children = [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`).split(" ").filter(Boolean)
  );
  return children.reduce((sum, child) => sum + cpuOf(Number(child)), cpuSeconds(pid));
}

/** The time within which 99 of 100 questions are answered at a given pace. */
async function p99Ms({ address }: Rival, questions: string, perSecond: number): Promise<number> {
  const text = await dnsperf(
    address,
    ...["-d", questions, "-c", "4", "-l", `${SECONDS}`, "-Q", `${Math.round(perSecond)}`, "-v"],
  );
  const times = [...text.matchAll(/^> \S+ \S+ \S+ ([0-9.]+)$/gm)].map(([, seconds]) =>
    Number(seconds) * 1_000
  );
  if (times.length < 1_000) throw new Error(`dnsperf tells of ${times.length} answers only`);
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
}

/** How much longer a question takes that we pass on to another server, than one asked of that server. One at a time, each
 * name once. */
export async function measureForwarding(): Promise<number> {
  await using undo = new AsyncDisposableStack();
  const folder = temporary(undo);
  const [, , , , echo] = await startRivals(folder, 10, undo);
  const address = "127.0.53.6";
  const process = undo.use(
    new Background(thread(address, 10, echo!.address), `${folder}/forward.log`, { purpose: "bench" }),
  );
  await until("the thread answers", () => answers({ address }, process), { ms: 20_000, everyMs: 100 });
  const differences = Array.from({ length: ROUNDS }, (_, round) => {
    const ours = askOneByOne(address, `a${round}`);
    return ours - askOneByOne(echo!.address, `b${round}`);
  });
  return median(differences);
}

/** Half of the questions are answered within so many milliseconds; each name is another one. */
function askOneByOne(address: string, prefix: string): number {
  using socket = StreamSocket.connect("udp", { ip: parseIp(address)!, port: PORT });
  const into = new Uint8Array(4_096);
  const times: number[] = [];
  for (let i = 0; i < QUESTIONS; i++) {
    const { message } = questionFor(encodeName(`${prefix}x${i}.example.com.`), 1);
    const started = performance.now();
    socket.write(message);
    if (!waitReadable(socket.fd, 2_000) || socket.read(into) <= 12) {
      throw new Error(`${address} does not answer`);
    }
    times.push(performance.now() - started);
  }
  return median(times);
}
