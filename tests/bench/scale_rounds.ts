/** `deno task bench scale`: how fast hosts find each other on this machine's own kernel, and what idle ones cost. */
import { exec, pause } from "../lab/common/process.ts";
import { cpuSeconds, residentMb } from "../lab/common/usage.ts";
import { World, type WorldOptions } from "../lab/common/world.ts";
import { firstPing, fullMesh } from "../lab/host/start.ts";
import { allocationsPerSecond, donationMs } from "./address_rounds.ts";
import { median } from "./figures.ts";
import { newNameMs } from "./name_rounds.ts";

const FIRST_PINGS = 7;
const MESHES = 3;
/** Idle traffic comes in bursts every 30 s, so the window is a multiple of that. */
const IDLE_MS = 60_000;
const SETTLE_MS = 30_000;

let worlds = 0;

async function hosts(count: number, options: Partial<WorldOptions> = {}): Promise<World> {
  const prefix = `mns${Deno.pid}-${++worlds}`;
  return await World.create({
    ...{ hosts: count, openvswitch: false, upOptions: ["--datapath", "bridge"], prefix },
    ...options,
  });
}

/** Rows of the table: what, bar, measured. */
export async function measureScale(): Promise<string[][]> {
  const rows: string[][] = [];
  const row = (what: string, bar: string, measured: string) => {
    console.log(`${what}: ${measured}`);
    rows.push([what, bar, measured]);
  };
  const failed = (error: unknown) =>
    `failed: ${error instanceof Error ? error.message : error}`.split("\n")[0]!;
  const rate = await measured(1, allocationsPerSecond).then((n) => n.toFixed(0), failed);
  row("Addresses allocated a second, one host, 8 clients", ">= 2,000", rate);
  const donation = await measured(2, donationMs).then((ms) => `${ms.toFixed(1)} ms`, failed);
  row("An address that another host has to give", "<= 10 ms", donation);
  row("A new name, until the other of two hosts answers it", "<= 50 ms", await newNames().catch(failed));
  row("`up` on two hosts to the first ping", "<= 1 s", await firstPings().catch(failed));
  for (const [count, bar] of [[10, "<= 2 s"], [20, "<= 5 s"]] as const) {
    row(`${count} hosts started together, to the full mesh`, bar, await meshes(count).catch(failed));
  }
  for (const count of [2, 20]) {
    const figures = await idle(count).catch(failed);
    if (typeof figures === "string") {
      row(`Idle, ${count} hosts`, "", figures);
      continue;
    }
    const { bytesPerSecond, cpuPercent, memory } = figures;
    row(`Control traffic of an idle link, ${count} hosts`, "<= 70 B/s", `${bytesPerSecond.toFixed(0)} B/s`);
    row(`Processor of an idle daemon, ${count} hosts`, "none", `${cpuPercent.toFixed(2)} %`);
    row(`Memory of idle daemons, ${count} hosts, each`, "as it comes", memoryText(memory));
  }
  return rows;
}

async function newNames(): Promise<string> {
  await using world = await hosts(2);
  const times = await newNameMs(world);
  const p99 = times[Math.floor(times.length * 0.99)]!;
  return `${median(times).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
}

async function measured(count: number, measure: (world: World) => Promise<number>): Promise<number> {
  await using world = await hosts(count);
  return await measure(world);
}

/** `58 to 63 MB, 60 in the middle`, of sorted figures. */
function memoryText(mb: readonly number[]): string {
  const [least, most] = [mb[0]!, mb.at(-1)!].map((value) => value.toFixed(0));
  if (least === most) return `${least} MB`;
  return `${least} to ${most} MB` + (mb.length > 2 ? `, ${median(mb).toFixed(0)} in the middle` : "");
}

async function firstPings(): Promise<string> {
  const results: Awaited<ReturnType<typeof firstPing>>[] = [];
  for (let round = 0; round < FIRST_PINGS; round++) {
    await using world = await hosts(2, { containers: 2 });
    results.push(await firstPing(world));
  }
  const phases = Object.keys(results[0]!.phases).map((name) =>
    `${name} ${median(results.map((result) => result.phases[name]!)).toFixed(0)}`
  );
  return `${median(results.map(({ total }) => total)).toFixed(0)} ms (${phases.join(", ")})`;
}

async function meshes(count: number): Promise<string> {
  const results: Awaited<ReturnType<typeof fullMesh>>[] = [];
  for (let round = 0; round < MESHES; round++) {
    await using world = await hosts(count);
    results.push(await fullMesh(world));
  }
  const total = median(results.map(({ started, ms }) => started + ms));
  const started = median(results.map((result) => result.started));
  return `${(total / 1000).toFixed(1)} s (${(started / 1000).toFixed(1)} s until all daemons answer)`;
}

/** Full mesh, left alone. */
async function idle(
  count: number,
): Promise<
  { readonly bytesPerSecond: number; readonly cpuPercent: number; readonly memory: readonly number[] }
> {
  await using world = await hosts(count);
  await fullMesh(world);
  await pause(SETTLE_MS);
  const pids = world.hosts.map((host) => host.daemon.pid);
  const [octets, seconds] = [await underlayOctets(world), pids.map(cpuSeconds)];
  await pause(IDLE_MS);
  const window = IDLE_MS / 1000;
  const grown = await underlayOctets(world) - octets;
  const used = median(pids.map((pid, i) => cpuSeconds(pid) - seconds[i]!));
  return {
    bytesPerSecond: grown / window / (count - 1),
    cpuPercent: used / window * 100,
    memory: pids.map(residentMb).toSorted((a, b) => a - b),
  };
}

/** Bytes in both directions on the cable of host 1 so far. */
async function underlayOctets(world: World): Promise<number> {
  const text = await exec(["ip", "-s", "-j", "link", "show", "dev", "eth0"], { netns: world.host(1).netns });
  const [{ stats64 }] = JSON.parse(text) as [{ stats64: { rx: { bytes: number }; tx: { bytes: number } } }];
  return stats64.rx.bytes + stats64.tx.bytes;
}
