/** `deno task bench flows [PACE...]`: new flows on two hosts that switch by eBPF, at each pace, round by round. With
 * MESHNET_BEFORE another executable takes turns with this one. */
import type { Container } from "../lab/common/container.ts";
import { sendFrames } from "../lab/common/frames.ts";
import { exec, pause, until } from "../lab/common/process.ts";
import { cpuSeconds } from "../lab/common/usage.ts";
import { type Host, PROGRAM, World } from "../lab/common/world.ts";
import { markdownTable, median } from "./figures.ts";
import { wholeSeconds } from "./sleeve_measure.ts";

/** New flows: so many in a second, all that one host may have of another one's tables. */
export const PACES: readonly number[] = [20_000, 15_000, 10_000, 5_000];
/** Conversations inside each host before, so that the daemons have seen what is measured. */
const WARM_PACE = 4_000;
const SOURCES = 128;
const DESTINATIONS = 125;
const ROUNDS = 3;

/** What became of frames that each have no flow yet, on either host. */
export interface NewFlows {
  readonly asked: number;
  readonly perSecond: number;
  readonly sent: number;
  /** Frames that did not arrive. */
  readonly lost: number;
  /** Frames for which one of the hosts has no flow in the end. */
  readonly without: number;
  /** Microseconds of processor time of both daemons for one frame that arrived. */
  readonly daemons: number;
  /** The same of the whole machine, the sender's included. */
  readonly machine: number;
}

/** One table: each pace and each executable, the median of its rounds. */
export async function measureFlows(
  paces: readonly number[] = PACES,
  rounds: number = ROUNDS,
): Promise<string> {
  const before = Deno.env.get("MESHNET_BEFORE");
  const programs = { now: PROGRAM, ...(before === undefined ? {} : { before: [before] }) };
  const found = new Map<string, NewFlows[]>();
  for (let round = 0; round < rounds; round++) {
    for (const pace of paces) {
      const turns = Object.entries(programs);
      if (round % 2 === 1) turns.reverse();
      for (const [name, program] of turns) {
        const what = `${pace} ${name}`;
        found.set(what, [...found.get(what) ?? [], await newFlows(pace, program)]);
      }
    }
  }
  const rows = [...found].map(([what, all]) => {
    const middle = (field: keyof NewFlows) => median(all.map((one) => one[field]));
    const [pace, name] = what.split(" ");
    const percent = (count: "lost" | "without") =>
      all.map((one) => `${(one[count] / one.sent * 100).toFixed(1)} %`).join(", ");
    const figures = [middle("perSecond"), middle("daemons"), middle("machine")];
    return [pace!, name!, percent("lost"), percent("without"), ...figures.map((figure) => figure.toFixed(0))];
  });
  const head = [
    "Asked",
    "Which",
    "Lost, each round",
    "Without flow",
    "Sent a second",
    "Daemons us/flow",
    "Machine us/flow",
  ];
  return markdownTable([head, ...rows]);
}

let worlds = 0;

/** Frames that each have no flow yet, on hosts of their own: one container sends, the other host receives. */
export async function newFlows(asked: number, program: readonly string[] = PROGRAM): Promise<NewFlows> {
  const prefix = `mnf${Deno.pid}-${++worlds}`;
  const shape = { openvswitch: false, direct: true, hosts: 2, containers: 6 } as const;
  await using world = await World.create({ prefix, program, upOptions: ["--datapath", "ebpf"], ...shape });
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
  const before = { arrived: await received(two.netns), flows: await Promise.all(world.hosts.map(flowsOf)) };
  const daemons = () => world.hosts.reduce((sum, { daemon }) => sum + cpuSeconds(daemon.pid), 0);
  const used = { daemons: daemons(), machine: wholeSeconds() };
  const seconds = await sendFrames(one.netns, { device, sources, destinations, perSecond: asked });
  const sent = SOURCES * DESTINATIONS;
  const arrived = await settled(async () => await received(two.netns) - before.arrived);
  const each = (seconds: number) => seconds * 1e6 / Math.max(1, arrived);
  const flows = await Promise.all(world.hosts.map(async (host, i) => {
    return await settled(async () => await flowsOf(host) - before.flows[i]!);
  }));
  const cost = { daemons: each(daemons() - used.daemons), machine: each(wholeSeconds() - used.machine) };
  const found = {
    asked,
    perSecond: sent / seconds,
    sent,
    lost: Math.max(0, sent - arrived),
    without: Math.max(0, sent - Math.min(...flows)),
    ...cost,
  };
  console.log(
    `new flows: ${
      JSON.stringify(found, (_, value) => typeof value === "number" ? Number(value.toPrecision(4)) : value)
    }`,
  );
  return found;
}

function machines(side: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `02:00:5e:00:0${side}:${i.toString(16).padStart(2, "0")}`);
}

async function flowsOf(host: Host): Promise<number> {
  return (await host.status()).datapath.flows;
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
