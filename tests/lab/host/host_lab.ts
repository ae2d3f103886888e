/** Scenarios on this machine's own kernel, whatever it has of Open vSwitch: hosts that switch by eBPF, which is what `auto`
 * takes here, and those whose scenarios are about a bridge or the user-space path.
 *
 * The same worlds as in user-mode Linux, but native: two processors, real speed, every process cheap to start.
 */
import { whyNoEbpf } from "../../../mod/daemon/host/ebpf_host.ts";
import { takeNotes } from "../common/notes.ts";
import type { Container } from "../common/container.ts";
import { attempt, FOLDER, until, within } from "../common/process.ts";
import { type Suite, testName } from "../common/suite.ts";
import { World, type WorldOptions } from "../common/world.ts";

/** Ends a scenario that hangs. The longest one starts a hundred containers of an engine, which takes a busy machine minutes. */
const LIMIT_MS = 400_000;
/** Bits a second that a TCP stream reaches even on a busy machine, unless packets of some size or kind are lost. How fast it
 * is on an idle one the bench tells. */
export const CARRIES = 3e6;

/** The datapath of hosts that are not told another: eBPF, or a bridge where the kernel refuses that. */
export const DATAPATH = Deno.env.get("LAB_DATAPATH") ?? (whyNoEbpf(true) === undefined ? "ebpf" : "bridge");
/** Options of worlds whose scenarios are about a bridge, or about the user-space path without a tunnel beside it. */
export const BRIDGE = { upOptions: ["--datapath", "bridge"] } as const;
/** The same scenarios on both, where what carries frames matters. */
export const DATAPATHS: readonly string[] = DATAPATH === "bridge" ? [DATAPATH] : [DATAPATH, "bridge"];
/** What the name of a suite says of its datapath. */
export const withDatapath = (datapath: string): string => datapath === DATAPATH ? "" : ` with a ${datapath}`;

/** The overlay that links between hosts with a datapath come to use. */
export const overlayOf = (datapath: string): string => datapath === "bridge" ? "sleeve" : "fastdp";
/** That of hosts that are not told another. */
export const OVERLAY = overlayOf(DATAPATH);

let worlds = 0;
let leftovers: Promise<void> | undefined;

/** Only tests whose name contains one of these; all where there are none. */
const patterns: readonly string[] = JSON.parse(Deno.env.get("LAB_ONLY") ?? "[]");

/** Hosts with names of this run's own, so that runs side by side leave each other alone. */
export async function hostWorld(options: Omit<WorldOptions, "openvswitch" | "prefix">): Promise<World> {
  checkMachine();
  leftovers ??= removeLeftovers();
  await leftovers;
  return await World.create({
    upOptions: ["--datapath", DATAPATH],
    ...options,
    ...{ openvswitch: false, prefix: `mnl${Deno.pid}-${++worlds}` },
  });
}

/** Pings until there is an answer; gives the milliseconds that took. */
export async function backAfter(
  from: Container,
  to: string,
  limitMs: number,
  ...options: readonly string[]
): Promise<number> {
  const started = performance.now();
  await until(`${from.netns} reaches ${to}`, async () => {
    return (await from.ping(to, "-c", "1", "-W", "0.3", ...options)).received === 1;
  }, { ms: limitMs, everyMs: 10 });
  return Math.round(performance.now() - started);
}

/** This lab is promised wherever tests run: what it lacks is a failure, not a reason to skip. */
function checkMachine(): void {
  if (Deno.uid() !== 0) throw new Error("The lab makes network namespaces: run it as root");
  try {
    Deno.statSync("/dev/net/tun");
  } catch {
    throw new Error("The lab needs /dev/net/tun: load the module tun, or give the container that device");
  }
}

/** Removes what runs left that were killed: namespaces and folders that carry the id of a process that is no more. Other
 * runs may be about the same at the same time, so what is gone already is fine. */
async function removeLeftovers(): Promise<void> {
  const { stdout } = await attempt(["ip", "netns", "list"]); // makes the folder, too, where nobody ever had one
  for (const line of stdout.split("\n")) {
    const name = line.split(" ")[0]!;
    if (!isLeftover(name)) continue;
    const { stdout: inside } = await attempt(["ip", "netns", "pids", name]);
    for (const pid of inside.split("\n").filter(Boolean)) {
      ignoreAbsence(() => Deno.kill(Number(pid), "SIGKILL"));
    }
    await attempt(["ip", "netns", "del", name]);
  }
  ignoreAbsence(() => {
    for (const { name } of [...Deno.readDirSync("/etc/netns")].filter((entry) => isLeftover(entry.name))) {
      Deno.removeSync(`/etc/netns/${name}`, { recursive: true });
    }
  });
  Deno.mkdirSync(FOLDER, { recursive: true });
  for (const { name } of [...Deno.readDirSync(FOLDER)].filter((entry) => isLeftover(entry.name))) {
    for (const place of mountsBelow(`${FOLDER}/${name}`)) await attempt(["umount", "-l", place]);
    ignoreAbsence(() => Deno.removeSync(`${FOLDER}/${name}`, { recursive: true }));
  }
}

/** Where something is mounted below a folder, the innermost first. */
function mountsBelow(folder: string): readonly string[] {
  const places = Deno.readTextFileSync("/proc/self/mounts").split("\n").map((line) =>
    line.split(" ")[1] ?? ""
  );
  return places.filter((place) => place.startsWith(`${folder}/`)).reverse();
}

/** Whether a name is one of hostWorld()'s, in a process that is no more. */
function isLeftover(name: string): boolean {
  const owner = /^mnl([0-9]+)-/.exec(name)?.[1];
  return owner !== undefined && !isAlive(owner);
}

function ignoreAbsence(remove: () => void): void {
  try {
    remove();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function isAlive(pid: string): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

/** Declares a Deno test for each scenario of suites. They share the suite's hosts; a failed one gets the next fresh ones. */
export function declareTests(...suites: readonly Suite[]): void {
  for (const suite of suites) {
    const chosen = suite.scenarios.map((scenario) => ({ scenario, test: testName(suite.name, scenario) }))
      .filter(({ test }) => patterns.length === 0 || patterns.some((pattern) => test.includes(pattern)));
    for (const [i, { scenario, test }] of chosen.entries()) {
      const close = i === chosen.length - 1;
      // The hosts belong to all scenarios together, so no single one can account for their handles.
      const options = { sanitizeOps: false, sanitizeResources: false };
      Deno.test({ name: test, ...options }, () => runOne(suite, { scenario, close }));
    }
  }
}

async function runOne(
  suite: Suite,
  { scenario, close }: { scenario: string; close: boolean },
): Promise<void> {
  takeNotes();
  try {
    await within(LIMIT_MS, suite.run(scenario));
    console.log(takeNotes().join("\n"));
    if (close) await suite.close();
  } catch (error) {
    const state = await within(20_000, suite.explain()).catch((cause) => `(no explanation: ${cause})`);
    await suite.close();
    const reason = error instanceof Error ? error.stack ?? error.message : String(error);
    throw new Error([reason, ...takeNotes(), state].join("\n"), { cause: error });
  }
}

/** Waits until every link has come to its overlay: a link is established as soon as any works, and changes to the best. */
export async function linksSettled(world: World, overlay: string = OVERLAY): Promise<void> {
  await Promise.all(world.hosts.map((host) =>
    until(`the links of ${host.netns} use ${overlay}`, async () => {
      const { connections } = await host.status();
      return connections.every((one) => one.state !== "established" || one.overlay === overlay);
    })
  ));
}

/** Waits until the first host's link has taken the tunnel. */
export async function tunnelIsUsed(world: World): Promise<void> {
  await until("the tunnel is used", async () => {
    return (await world.host(1).status()).connections[0]?.overlay === "fastdp";
  });
}
