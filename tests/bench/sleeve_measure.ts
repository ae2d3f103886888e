/** One round of measurements on a candidate, and the table that many rounds make. */
import type { IperfEnd } from "../lab/common/container.ts";
import { attempt, Background, exec, FOLDER } from "../lab/common/process.ts";
import { cpuSeconds, residentMb } from "../lab/common/usage.ts";
import { markdownTable, median } from "./figures.ts";
import type { Candidate } from "./sleeve_rivals.ts";

/** What one round gives. */
export interface Round {
  /** One TCP stream, Gbit/s. */
  readonly tcp: number;
  /** Seconds of processor time of the candidate's daemons for a gigabyte of that stream. */
  readonly cpu: number;
  /** The same of the whole machine, the programs that send and receive included. */
  readonly wholeCpu: number;
  /** UDP packets with 64 bytes of data that arrive in a second, in thousands. */
  readonly small: number;
  /** The same with 1200 bytes. */
  readonly large: number;
  /** Median round trip in milliseconds. */
  readonly rtt: number;
  /** The same while other processes keep all processors busy. */
  readonly busyRtt: number;
  /** Memory of the larger daemon in MB. */
  readonly rss: number;
}

const TCP_SECONDS = 3;
const UDP_SECONDS = 2;

/** The receiving end's servers, for all rounds. */
export function serve({ to }: Candidate): Background {
  return new Background(["iperf3", "-s"], `${FOLDER}/${to.netns}-iperf3`, { netns: to.netns });
}

/** Measures everything once. */
export async function measure(candidate: Candidate): Promise<Round> {
  const { daemons } = candidate;
  const ticks = wholeSeconds();
  const before = daemons.map(cpuSeconds);
  const stream = (await iperf(candidate, "-C", "cubic", "-t", String(TCP_SECONDS))).sum_received;
  const used = daemons.reduce((total, pid, i) => total + cpuSeconds(pid) - before[i]!, 0);
  const gigabytes = stream.bytes / 1e9;
  const wholeCpu = (wholeSeconds() - ticks) / gigabytes;
  return {
    ...{ tcp: stream.bits_per_second / 1e9, cpu: used / gigabytes, wholeCpu },
    small: await packets(candidate, 64),
    large: await packets(candidate, 1200),
    rtt: await roundTrip(candidate),
    busyRtt: await busyRoundTrip(candidate),
    rss: Math.max(0, ...daemons.map(residentMb)),
  };
}

async function packets(candidate: Candidate, length: number): Promise<number> {
  const { sum } = await iperf(candidate, "-u", "-b", "0", "-l", String(length), "-t", String(UDP_SECONDS));
  return (sum!.packets - sum!.lost_packets) / sum!.seconds / 1e3;
}

/** The median round trip of so many, in milliseconds. */
export async function roundTrip({ from, to }: Candidate, count = 200): Promise<number> {
  const { times } = await from.ping(to.address, "-c", String(count), "-i", "0.005", "-W", "1");
  return median(times);
}

async function busyRoundTrip(candidate: Candidate): Promise<number> {
  await using stack = new AsyncDisposableStack();
  for (let i = 0; i < navigator.hardwareConcurrency; i++) {
    stack.use(new Background(["sh", "-c", "while :; do :; done"], "/dev/null"));
  }
  return await roundTrip(candidate);
}

/** One run of iperf3 against the server at the other end. */
export async function iperf({ from, to }: Candidate, ...options: readonly string[]): Promise<IperfEnd> {
  const argv = ["iperf3", "-c", to.address, "-J", "--connect-timeout", "3000", ...options];
  for (let tries = 0;; tries++) { // the server may not listen yet, or still be busy with the last stream
    const { stdout, stderr } = await attempt(argv, { netns: from.netns, timeoutMs: 30_000 });
    const answer = stdout === "" ? { error: stderr } : JSON.parse(stdout);
    if (answer.error === undefined) return answer.end;
    if (tries >= 10) throw new Error(`iperf3 failed: ${answer.error}`);
    await exec(["sleep", "0.2"]);
  }
}

/** Processor time that was not idle, of all processors together. */
export function wholeSeconds(): number {
  const fields = Deno.readTextFileSync("/proc/stat").split("\n")[0]!.split(/\s+/).slice(1, 9).map(Number);
  const [user, nice, system, _idle, _wait, irq, softirq, _steal] = fields as [
    ...[number, number, number, number],
    ...[number, number, number, number],
  ];
  return (user + nice + system + irq + softirq) / 100; // USER_HZ
}

/** What must hold for a row: for the README, and for whoever reads a failed run. */
export interface Bars {
  /** Times nebula's rate of TCP in the same round. */
  readonly tcpOfNebula?: number;
  readonly cpu?: number;
  /** UDP packets with 64 bytes and round trips are no worse than nebula's. */
  readonly likeNebula?: boolean;
}

/** A row of the table: a candidate and its rounds. */
export interface Row {
  readonly name: string;
  readonly bars: Bars;
  /** By number; undefined where it failed. */
  readonly rounds: readonly (Round | undefined)[];
}

/** The table, ratios to `unit`'s row included, and the bars that were missed in words. */
export function summarise(rows: readonly Row[], unit: string): { table: string; missed: readonly string[] } {
  const base = rows.find((row) => row.name === unit);
  const middle = (row: Row, field: keyof Round) =>
    median(row.rounds.flatMap((round) => round === undefined ? [] : [round[field]]));
  /** Median of the ratios of rounds that ran one after the other. */
  const ratio = (row: Row, field: keyof Round) =>
    median(row.rounds.flatMap((round, i) => {
      const other = base?.rounds[i];
      return round === undefined || other === undefined ? [] : [round[field] / other[field]];
    }));
  const head = [
    ...["", "TCP Gbit/s", `of ${unit}`, "UDP 64 B k/s", "UDP 1200 B k/s", "RTT ms", "busy"],
    ...["daemons' CPU s/GB", "machine's", "RSS MB"],
  ];
  const body = rows.map((row) => [
    row.name,
    middle(row, "tcp").toFixed(2),
    Number.isNaN(ratio(row, "tcp")) ? "" : ratio(row, "tcp").toFixed(2),
    middle(row, "small").toFixed(0),
    middle(row, "large").toFixed(0),
    middle(row, "rtt").toFixed(3),
    middle(row, "busyRtt").toFixed(3),
    middle(row, "cpu") === 0 ? "" : middle(row, "cpu").toFixed(2),
    middle(row, "wholeCpu").toFixed(2),
    middle(row, "rss") === 0 ? "" : middle(row, "rss").toFixed(0),
  ]);
  const missed = rows.flatMap((row) => {
    const { tcpOfNebula, cpu, likeNebula } = row.bars;
    const says: string[] = [];
    const check = (what: string, value: number, holds: boolean) => {
      if (!holds && !Number.isNaN(value)) says.push(`${row.name}: ${what} is ${value.toFixed(2)}`);
    };
    if (tcpOfNebula !== undefined) {
      check(`TCP >= ${tcpOfNebula} x ${unit}`, ratio(row, "tcp"), ratio(row, "tcp") >= tcpOfNebula);
    }
    if (cpu !== undefined) check(`CPU <= ${cpu} s/GB`, middle(row, "cpu"), middle(row, "cpu") <= cpu);
    if (likeNebula === true) {
      check(`UDP 64 B >= ${unit}'s`, ratio(row, "small"), ratio(row, "small") >= 1);
      check(`RTT <= ${unit}'s`, ratio(row, "rtt"), ratio(row, "rtt") <= 1);
    }
    return says;
  });
  return { table: markdownTable([head, ...body]), missed };
}
