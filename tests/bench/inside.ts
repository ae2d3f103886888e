/** Runs inside the lab's kernel: measures, and reports every figure as a JSON line. */
import { hosts, mesh } from "../lab/common/arrangements.ts";
import type { Container } from "../lab/common/container.ts";
import { sendFrames, sendFramesHere } from "../lab/common/frames.ts";
import { links } from "../lab/common/links.ts";
import { pause, until } from "../lab/common/process.ts";
import { type Host, World } from "../lab/common/world.ts";
import { cpuSeconds } from "../lab/common/usage.ts";
import { type Figures, median } from "./figures.ts";
import { kernelVxlan } from "./kernel_vxlan.ts";

if (Deno.args[0] === "frames") {
  await sendFramesHere(JSON.parse(Deno.args[1]!));
  Deno.exit(0);
}

function report(figures: Figures): void {
  using file = Deno.openSync(Deno.env.get("UML_LINES")!, { append: true });
  file.writeSync(new TextEncoder().encode(JSON.stringify(figures) + "\n"));
  file.syncSync(); // the reader is outside this kernel
}

/** TCP over both, turn by turn, so that a change of the machine's pace meets both alike. */
async function tcp(rounds: number): Promise<void> {
  await using ours = await hosts(2);
  await mesh(ours);
  const { mtu } = (await links(ours.container(1).netns)).find((link) => link.ifname === "ethmesh")!;
  await using theirs = await kernelVxlan(mtu);
  const pairs = [ours, theirs].map((world) => [world.container(1), world.container(2)] as const);
  for (const [one, two] of pairs) await one.mustPing(two.address, "-c", "3", "-i", "0.1", "-W", "3");
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const which of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const [one, two] = pairs[which]!;
      rates[which]!.push(await one.iperf(two, 1, "-C", "cubic") / 1e9);
    }
  }
  report({ kind: "tcp", mtu, ours: rates[0], theirs: rates[1] });
}

/** From `up` on both hosts to the first answer across: every phase of it. */
async function firstPing(): Promise<void> {
  await using world = await World.create({ hosts: 2, containers: 2 });
  const started = performance.now();
  const since = () => performance.now() - started;
  world.host(1).start();
  world.host(2).start("--peers", world.host(1).address);
  const answers = (host: Host) => until("the daemon answers", () => host.status(), { everyMs: 10 });
  await Promise.all(world.hosts.map(answers));
  const answering = since();
  await Promise.all(world.hosts.map((host) => host.established()));
  const established = since();
  await Promise.all(world.hosts.map((host, i) => host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`)));
  const attached = since();
  await world.container(1).mustPing("10.2.1.2", "-c", "1", "-W", "3");
  const phases = [answering, established - answering, attached - established, since() - attached];
  report({ kind: "first-ping", phases });
}

/** New flows a second: each frame is of a pair that was never seen, at a growing pace, until not all get a flow. */
async function misses(): Promise<void> {
  await using world = await World.create({ hosts: 1 });
  const host = world.host(1);
  await host.up();
  let best = { asked: 0, sent: 0 };
  for (const [round, perSecond] of [3000, 4500, 6000, 7000, 8000, 9000, 10000, 12000].entries()) {
    // New ports each time: what one port may take of the tables is limited.
    const [one, two] = await world.addContainers(2) as [Container, Container];
    await host.attach(one, `10.2.1.${round * 2 + 1}/24`);
    await host.attach(two, `10.2.1.${round * 2 + 2}/24`);
    const machines = (side: number, count: number) =>
      Array.from({ length: count }, (_, i) => machine(round, side, i));
    const [sources, destinations] = [machines(1, Math.ceil(perSecond / 128)), machines(2, 128)];
    const device = "ethmesh";
    for (const [container, from] of [[one, sources], [two, destinations]] as const) {
      const all = ["ff:ff:ff:ff:ff:ff"];
      await sendFrames(container.netns, { device, sources: from, destinations: all, perSecond: 1000 });
    }
    await pause(500);
    const before = await host.counters();
    const seconds = await sendFrames(one.netns, { device, sources, destinations, perSecond });
    const after = await settled(host);
    const sent = sources.length * destinations.length;
    const figures = {
      asked: perSecond,
      sent: sent / seconds,
      lost: after.lost - before.lost,
      flows: after.flows - before.flows,
    };
    report({ kind: "misses", ...figures });
    if (figures.lost > 0 || figures.flows < sent * 0.99) break;
    best = { asked: figures.asked, sent: figures.sent };
  }
  report({ kind: "misses-best", ...best });
}

/** The counters when the daemon has worked off what was sent: no flow has come for a while. */
async function settled(host: Host): Promise<Awaited<ReturnType<Host["counters"]>>> {
  let counters = await host.counters();
  for (let before = -1; counters.flows !== before;) {
    before = counters.flows;
    await pause(200);
    counters = await host.counters();
  }
  return counters;
}

function machine(round: number, side: number, index: number): string {
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  return `02:00:5e:${hex(round)}:0${side}:${hex(index)}`;
}

/** What a daemon with one peer costs while nothing happens. Idle traffic comes every 30 s, so the window is 60 s. */
async function idle(): Promise<void> {
  await using world = await hosts(2);
  await mesh(world);
  await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.1");
  await pause(30_000);
  const pids = world.hosts.map((host) => host.daemon.pid);
  const before = pids.map(cpuSeconds);
  await pause(60_000);
  const cpu = pids.map((pid, i) => (cpuSeconds(pid) - before[i]!) / 60 * 100);
  const memory = pids.map((pid) => {
    const text = Deno.readTextFileSync(`/proc/${pid}/status`);
    const mb = (field: string) => Number(new RegExp(`${field}:\\s+([0-9]+)`).exec(text)?.[1]) / 1024;
    return { rss: mb("VmRSS"), anonymous: mb("RssAnon"), file: mb("RssFile") };
  });
  report({
    kind: "idle",
    cpuPercent: median(cpu),
    rssMb: median(memory.map((m) => m.rss)),
    anonymousMb: median(memory.map((m) => m.anonymous)),
  });
}

const wanted: string[] = JSON.parse(Deno.env.get("BENCH_ONLY") ?? "[]");
const benches: Record<string, () => Promise<void>> = {
  "first-ping": async () => {
    for (let i = 0; i < 5; i++) await firstPing();
  },
  tcp: () => tcp(30),
  misses,
  idle,
};
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    await bench();
  } catch (error) {
    report({ kind: "failed", bench: name, why: error instanceof Error ? error.message : String(error) });
  }
}
report({ kind: "done" });
Deno.exit(0);
