/** The kernel's datapath as `ovs-dpctl` sees it: an independent witness of what meshnet installed. */
import { attempt, exec } from "./process.ts";

/** One flow of the kernel. */
export interface KernelFlow {
  /** What it matches. */
  readonly key: string;
  readonly actions: string;
  readonly packets: number;
  /** Seconds since it was last used; undefined: never. */
  readonly used: number | undefined;
}

/** Counters of a datapath. */
export interface DatapathCounters {
  readonly hit: number;
  readonly missed: number;
  readonly lost: number;
  readonly flows: number;
  /** Names of the ports, by number. */
  readonly ports: ReadonlyMap<number, string>;
}

/** Every flow of the datapath `meshnet` in a namespace. */
export async function dumpFlows(netns: string): Promise<readonly KernelFlow[]> {
  return parseFlows(await exec(["ovs-dpctl", "dump-flows", "meshnet"], { netns }));
}

/** Reads what `ovs-dpctl dump-flows` printed. */
export function parseFlows(text: string): readonly KernelFlow[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(.*), packets:([0-9]+), bytes:[0-9]+, used:([^,]+),.*?actions:(.*)$/.exec(line.trim());
    if (match === null) return [];
    const used = match[3] === "never" ? undefined : Number.parseFloat(match[3]!);
    return [{ key: match[1]!, packets: Number(match[2]), used, actions: match[4]! }];
  });
}

/** The counters of the datapath `meshnet` in a namespace. */
export async function readCounters(netns: string): Promise<DatapathCounters> {
  return parseCounters(await exec(["ovs-dpctl", "show", "meshnet"], { netns }));
}

/** Reads what `ovs-dpctl show` printed. */
export function parseCounters(text: string): DatapathCounters {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? NaN);
  const ports = [...text.matchAll(/^\s*port ([0-9]+): (\S+)/gm)];
  return {
    hit: number(/hit:([0-9]+)/),
    missed: number(/missed:([0-9]+)/),
    lost: number(/lost:([0-9]+)/),
    flows: number(/flows: ([0-9]+)/),
    ports: new Map(ports.map((match) => [Number(match[1]), match[2]!])),
  };
}

/** Names of all datapaths in a namespace; none where the module is not loaded. */
export async function listDatapaths(netns: string): Promise<readonly string[]> {
  const { stdout } = await attempt(["ovs-dpctl", "dump-dps"], { netns });
  return stdout.split("\n").filter((line) => line !== "");
}

/** Fewer misses than this, while a hundred pings and their answers pass, mean that flows carry both directions. Heartbeats of
 * the tunnels are misses, too: about one a second for each link, however long a busy machine takes for the pings. */
export const FEW_MISSES = 50;

/** Loads the kernel's modules for Open vSwitch, as an administrator does. */
export async function loadOpenvswitch(): Promise<void> {
  await loadModules("openvswitch", "vport-vxlan");
}

/** Loads modules of the kernel. */
export async function loadModules(...names: readonly string[]): Promise<void> {
  // The lab's kernel has its modules in a folder of its own.
  const folder = await Deno.stat("/run/modules").then(() => ["-d", "/run/modules"], () => []);
  await exec(["modprobe", ...folder, "-a", ...names]);
}

/** What encrypts the fast path, and what makes a kernel find it by itself. */
const IPSEC = [
  ...["xfrm_user", "esp4", "esp6", "seqiv", "gcm", "ghash-generic", "ctr", "drbg", "hmac", "sha512_generic"],
];

/** Makes IPsec possible in a kernel that runs as a process. */
export async function loadIpsec(): Promise<void> {
  await exec(["sh", "-c", "mkdir -p /lib/modules && mount --bind /run/modules/lib/modules /lib/modules"]);
  await loadModules(...IPSEC);
}
