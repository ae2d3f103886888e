/** `deno task bench ebpf`: hosts that switch by programs in the kernel, against a bridge with a VXLAN device and against
 * the user-space path, with network cards that cut and merge packets or do not, round by round. */
import { sendFrames } from "../lab/common/frames.ts";
import type { Container } from "../lab/common/container.ts";
import { links } from "../lab/common/links.ts";
import { exec, pause, until } from "../lab/common/process.ts";
import { type Host, World, type WorldOptions } from "../lab/common/world.ts";
import { median } from "./figures.ts";
import { iperf, roundTrip, serve, wholeSeconds } from "./sleeve_measure.ts";
import * as rivals from "./sleeve_rivals.ts";

const ROUNDS = 8;
const TCP_SECONDS = 2;
const UDP_SECONDS = 1;
const PINGS = 100;
/** UDP payload of the smallest Ethernet frame. */
const SMALLEST = 18;
/** New flows: so many in a second, all that one host may have of another one's tables. */
const PACES = [20_000, 15_000, 10_000, 5_000] as const;
/** Conversations inside each host before, so that the daemons have seen what is measured. */
const WARM_PACE = 4_000;
const SOURCES = 128;
const DESTINATIONS = 125;
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
    if (one !== undefined && one.lost === 0) break;
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

/** What became of frames that each have no flow yet, on either host. */
export interface NewFlows {
  readonly asked: number;
  readonly perSecond: number;
  readonly sent: number;
  /** Frames that did not arrive, or for which one of the hosts has no flow. */
  readonly lost: number;
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

/** Frames that each have no flow yet, on hosts of their own: one container sends, the other host receives. */
export async function newFlows(asked: number): Promise<NewFlows> {
  await using world = await hosts("ebpf", { hosts: 2, containers: 6 });
  await world.upAll();
  const [one, two] = [world.container(1), world.container(2)];
  for (const [i, container] of world.containers.entries()) {
    await world.host(i % 2 + 1).attach(container, `10.2.1.${i + 1}/24`);
  }
  await until("the tunnel is used", async () => {
    await one.ping("10.2.1.2", "-c", "1", "-W", "1");
    return (await world.host(1).status()).connections[0]?.overlay === "fastdp";
  });
  const device = "ethmesh";
  const everybody = ["ff:ff:ff:ff:ff:ff"];
  const sources = machines(1, SOURCES);
  const destinations = machines(2, DESTINATIONS);
  const learnt = async (who: readonly [Container, readonly string[]][]) => {
    for (const [{ netns }, sources] of who) {
      await sendFrames(netns, { device, sources, destinations: everybody, perSecond: 1000 });
    }
  };
  for (const n of [3, 4]) {
    const [from, to] = [world.container(n), world.container(n + 2)];
    const near = { sources: machines(n, 64), destinations: machines(n + 2, DESTINATIONS) };
    await learnt([[from, near.sources], [to, near.destinations]]);
    await sendFrames(from.netns, { device, ...near, perSecond: WARM_PACE });
  }
  await learnt([[one, sources], [two, destinations]]);
  await pause(500);
  const before = { arrived: await received(two.netns), flows: await flowsOf(world.hosts) };
  const seconds = await sendFrames(one.netns, { device, sources, destinations, perSecond: asked });
  const sent = SOURCES * DESTINATIONS;
  const arrived = await settled(async () => await received(two.netns) - before.arrived);
  const flows = (await flowsOf(world.hosts)).map((count, i) => count - before.flows[i]!);
  const found = {
    asked,
    perSecond: sent / seconds,
    sent,
    lost: Math.max(0, sent - Math.min(arrived, ...flows)),
  };
  console.log(`new flows: ${JSON.stringify(found, (_, value) => shorten(value))}`);
  return found;
}

function machines(side: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `02:00:5e:00:0${side}:${i.toString(16).padStart(2, "0")}`);
}

async function flowsOf(hosts: readonly Host[]): Promise<readonly number[]> {
  return await Promise.all(hosts.map(async (host) => (await host.status()).datapath.flows));
}

async function received(netns: string): Promise<number> {
  const text = await exec(["ip", "-s", "-j", "link", "show", "dev", "ethmesh"], { netns });
  return JSON.parse(text)[0].stats64.rx.packets;
}

/** A count that has not grown for a while. */
async function settled(count: () => Promise<number>): Promise<number> {
  let value = await count();
  for (let before = -1; value !== before;) {
    before = value;
    await pause(300);
    value = await count();
  }
  return value;
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
    const met = first.lost === 0 && first.perSecond >= first.asked * 0.95;
    const measured = flows.map(({ lost, perSecond, sent }) =>
      `${whole(perSecond)}: ${lost === 0 ? "none" : `${whole(lost)} of ${whole(sent)}`} lost`
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
