/** `deno task bench ebpf`: hosts that switch by programs in the kernel, against a bridge with a VXLAN device and against
 * the user-space path, with network cards that cut and merge packets or do not, round by round. */
import { links } from "../lab/common/links.ts";
import { exec } from "../lab/common/process.ts";
import { World, type WorldOptions } from "../lab/common/world.ts";
import { median } from "./figures.ts";
import { type NewFlows, newFlows, PACES } from "./flow_rounds.ts";
import { iperf, roundTrip, serve, wholeSeconds } from "./sleeve_measure.ts";
import * as rivals from "./sleeve_rivals.ts";

const ROUNDS = 8;
const TCP_SECONDS = 2;
const UDP_SECONDS = 1;
const PINGS = 100;
/** UDP payload of the smallest Ethernet frame. */
const SMALLEST = 18;
const STARTS = 8;

type Name = "kernel" | "ebpf" | "sleeve";
const TITLES: Readonly<Record<Name, string>> = {
  kernel: "kernel VXLAN + bridge",
  ebpf: "meshnet ebpf",
  sleeve: "user-space path",
};

/** What the network cards do, and how a virtual one is made to. A real card that does not cut TCP cuts no UDP either, or
 * the user-space path's datagrams would cross whole. What it receives is merged by the kernel (GRO): a virtual one is the
 * only kind for which that is off at first. */
const CARDS = {
  "TSO on": ["tso", "on", "tx-udp-segmentation", "on", "gro", "off"],
  "TSO off": ["tso", "off", "tx-udp-segmentation", "off", "gro", "on"],
  "TSO, GRO off": ["tso", "off", "tx-udp-segmentation", "off", "gro", "off"],
} as const;
type Card = keyof typeof CARDS;
const CARD_NAMES = Object.keys(CARDS) as readonly Card[];

/** What one round gives of one candidate. */
interface Round {
  readonly tcp: number;
  /** Seconds of processor time of the whole machine for a gigabyte of that stream. */
  readonly cpu: number;
  readonly small: number;
  readonly rtt: number;
}

/** What a table needs. */
export interface EbpfFigures {
  /** What, the bar, kernel, eBPF, user space, ratio. */
  readonly rows: string[][];
  readonly missed: readonly string[];
  readonly failed: readonly string[];
}

/** Measures everything; `rounds` for a short look. */
export async function measureEbpf(rounds: number = ROUNDS): Promise<EbpfFigures> {
  const failed: string[] = [];
  const guard = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      failed.push(`${what}: ${(error instanceof Error ? error.message : String(error)).split("\n")[0]}`);
      return undefined;
    }
  };
  const all = await paired(rounds, guard);
  const flows: NewFlows[] = [];
  for (const pace of PACES) { // until none is lost
    const one = await guard("new flows", () => newFlows(pace));
    if (one !== undefined) flows.push(one);
    if (one !== undefined && one.lost + one.without === 0) break;
  }
  const starts = await guard("start-up", startTimes);
  return { ...table(all, flows, starts), failed };
}

type Guard = <T>(what: string, work: () => Promise<T>) => Promise<T | undefined>;
type Rounds = Readonly<Record<Card, Readonly<Record<Name, (Round | undefined)[]>>>>;

/** All candidates in turn, in each round another one first. */
async function paired(rounds: number, guard: Guard): Promise<Rounds> {
  await using stack = new AsyncDisposableStack();
  const results = Object.fromEntries(
    CARD_NAMES.map((card) => [card, { kernel: [], ebpf: [], sleeve: [] }]),
  ) as unknown as Rounds;
  const opened: { name: Name; candidate: rivals.Candidate }[] = [];
  let mtu: number | undefined;
  const openers: Readonly<Record<Name, () => Promise<rivals.Candidate>>> = {
    ebpf: rivals.ebpf,
    kernel: () => rivals.kernelTunnel(mtu),
    sleeve: () => rivals.sleeve("plain", {}),
  };
  for (const [name, open] of Object.entries(openers) as [Name, typeof openers[Name]][]) {
    const candidate = await guard(TITLES[name], open);
    if (candidate === undefined) continue;
    stack.use(candidate);
    stack.use(serve(candidate));
    opened.push({ name, candidate });
    // The next ones have the same, so that all carry equally large packets.
    mtu ??= (await links(candidate.from.netns)).find((link) => link.ifname === "ethmesh")?.mtu;
  }
  const turns = CARD_NAMES.flatMap((card) => opened.map((one) => ({ ...one, card })));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < turns.length; i++) {
      const { candidate, card, name } = turns[(round + i) % turns.length]!;
      const what = `${TITLES[name]}, ${card}, round ${round + 1}`;
      const found = await guard(what, async () => {
        for (const netns of candidate.hosts) await exec(["ethtool", "-K", "eth0", ...CARDS[card]], { netns });
        return await measureOnce(candidate);
      });
      results[card][name][round] = found;
      console.log(`${what}: ${JSON.stringify(found, (_, value) => shorten(value))}`);
    }
  }
  return results;
}

const shorten = (value: unknown) => typeof value === "number" ? Number(value.toPrecision(4)) : value;

async function measureOnce(candidate: rivals.Candidate): Promise<Round> {
  const ticks = wholeSeconds();
  const stream = (await iperf(candidate, "-C", "cubic", "-t", String(TCP_SECONDS))).sum_received;
  const cpu = (wholeSeconds() - ticks) / (stream.bytes / 1e9);
  const options = ["-u", "-b", "0", "-l", String(SMALLEST), "-t", String(UDP_SECONDS)];
  const { sum } = await iperf(candidate, ...options);
  return {
    ...{ tcp: stream.bits_per_second / 1e9, cpu },
    small: (sum!.packets - sum!.lost_packets) / sum!.seconds / 1e3,
    rtt: await roundTrip(candidate, PINGS),
  };
}

let worlds = 0;

async function hosts(datapath: string, options: WorldOptions): Promise<World> {
  const prefix = `mne${Deno.pid}-${++worlds}`;
  const upOptions = ["--datapath", datapath];
  return await World.create({
    openvswitch: false,
    direct: options.hosts === 2,
    prefix,
    upOptions,
    ...options,
  });
}

/** Milliseconds from the start of the process until the daemon answers, of each datapath in turn. */
export async function startTimes(): Promise<Readonly<Record<"ebpf" | "bridge", readonly number[]>>> {
  const times = { ebpf: [] as number[], bridge: [] as number[] };
  for (let round = -1; round < STARTS; round++) {
    const order = round % 2 === 0 ? ["ebpf", "bridge"] as const : ["bridge", "ebpf"] as const;
    for (const datapath of order) {
      await using world = await hosts(datapath, { hosts: 1 });
      const begun = performance.now();
      world.host(1).start();
      await world.host(1).answers({ everyMs: 2 });
      if (round >= 0) times[datapath].push(performance.now() - begun); // the first fills caches
    }
  }
  return times;
}

function table(
  all: Rounds,
  flows: readonly NewFlows[],
  starts: Readonly<Record<"ebpf" | "bridge", readonly number[]>> | undefined,
): { readonly rows: string[][]; readonly missed: readonly string[] } {
  const rows = [["What", TITLES.kernel, TITLES.ebpf, TITLES.sleeve, "eBPF of it", "Bar"]];
  const missed: string[] = [];
  const middle = (card: Card, name: Name, field: keyof Round) =>
    median(all[card][name].flatMap((one) => one === undefined ? [] : [one[field]]));
  /** The median of ratios of one round each. */
  const ratio = (card: Card, to: Name, field: keyof Round) =>
    median(all[card].ebpf.flatMap((one, i) => {
      const other = all[card][to][i];
      return one === undefined || other === undefined ? [] : [one[field] / other[field]];
    }));
  const row = (what: string, cells: readonly string[], measured: string, bar: string, met: boolean) => {
    rows.push([what, ...cells, measured, bar]);
    if (!met) missed.push(`${what}: ${measured}, not ${bar}`);
  };
  const compare = (
    { bar, card, digits, field, least, to, what }: {
      readonly what: string;
      readonly card: Card;
      readonly field: keyof Round;
      readonly to: Name;
      readonly bar: number;
      /** More is better. */
      readonly least: boolean;
      readonly digits: number;
    },
  ) => {
    const value = ratio(card, to, field);
    const cells = (["kernel", "ebpf", "sleeve"] as const).map((name) =>
      middle(card, name, field).toFixed(digits)
    );
    const met = least ? value >= bar : value <= bar;
    row(
      `${what}, ${card}`,
      cells,
      `${value.toFixed(2)} x ${TITLES[to]}`,
      `${least ? ">=" : "<="} ${bar}`,
      met,
    );
  };
  for (const card of CARD_NAMES) {
    const tcp = { what: "TCP Gbit/s", field: "tcp", least: true, digits: 2, card } as const;
    compare({ ...tcp, to: "kernel", bar: 0.97 });
    compare({ ...tcp, to: "sleeve", bar: 2 });
    compare({
      what: "60-byte frames k/s",
      field: "small",
      to: "kernel",
      bar: 0.97,
      least: true,
      digits: 0,
      card,
    });
    compare({ what: "Round trip ms", field: "rtt", to: "kernel", bar: 1.05, least: false, digits: 3, card });
    compare({ what: "CPU s/GB", field: "cpu", to: "sleeve", bar: 0.45, least: false, digits: 2, card });
  }
  const [first] = flows;
  if (first !== undefined) {
    const met = first.lost + first.without === 0 && first.perSecond >= first.asked * 0.95;
    const of = (count: number, sent: number) => count === 0 ? "none" : `${whole(count)} of ${whole(sent)}`;
    const measured = flows.map(({ lost, perSecond, sent, without }) =>
      `${whole(perSecond)}: ${of(lost, sent)} lost${
        without === 0 ? "" : `, ${of(without, sent)} without flow`
      }`
    ).join(", ");
    row("New flows a second at both ends", ["", "", ""], measured, `${whole(first.asked)}, none lost`, met);
  }
  if (starts !== undefined) {
    const [ours, theirs] = [median(starts.ebpf), median(starts.bridge)];
    const more = median(starts.ebpf.map((ms, i) => ms - starts.bridge[i]!));
    const cells = ["", `${ours.toFixed(0)}`, `${theirs.toFixed(0)}`];
    row("Start until it answers ms", cells, `${more.toFixed(0)} ms more`, "<= 300 more", more <= 300);
  }
  return { rows, missed };
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");
