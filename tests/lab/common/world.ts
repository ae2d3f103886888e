/** Hosts as network namespaces on one underlay, containers as namespaces, and meshnet on each host.
 *
 *     c1 --ethmesh--+            +--ethmesh-- c2        containers
 *                   h1          h2                      hosts: a datapath and a daemon each
 *                   | eth0      | eth0   192.168.50.N
 *                   +-- fabric -+                       a bridge in a namespace of its own
 */
import type { FullReport, StatusReport } from "../../../mod/control/api_types.ts";
import { callDaemon } from "../../../mod/control/client.ts";
import { Container } from "./container.ts";
import {
  type DatapathCounters,
  dumpFlows,
  type KernelFlow,
  loadOpenvswitch,
  readCounters,
} from "./kernel_flows.ts";
import { backlogDrops, dropsIn, lossesOf } from "./losses.ts";
import { slowness } from "./pace.ts";
import { attempt, Background, exec, FOLDER, Hopeless, ip, type Output, until } from "./process.ts";
import type { Arrangement } from "./suite.ts";
import { threadsOf } from "./usage.ts";

/** What starts meshnet: a program and its first arguments. The built file, or what `LAB_PROGRAM` says in JSON. */
export const PROGRAM: readonly string[] = JSON.parse(Deno.env.get("LAB_PROGRAM") ?? "null") ??
  [Deno.env.get("LAB_EXE") ?? new URL("../../../dist/meshnet", import.meta.url).pathname];

let worlds = 0;
/** The executable unpacks itself at its first start, which no scenario shall wait for. */
let unpacked: Promise<string> | undefined;

/** A host with its daemon. */
export class Host implements AsyncDisposable {
  readonly runDir: string;
  readonly stateDir: string;
  readonly log: string;
  #daemon: Background | undefined;

  /** Its own name: by itself meshnet would make one of the machine's id, which all hosts here share. */
  peerName: string | undefined;

  /** Put behind the options of every `up` on this host. */
  upOptions: readonly string[] = [];
  /** Added to the environment of its daemon and commands. */
  environment: Readonly<Record<string, string>> = {};
  /** What the daemon's program is started by, such as another namespace to enter. */
  startedBy: readonly string[] = [];
  /** What starts meshnet here. */
  program: readonly string[] = PROGRAM;

  constructor(readonly netns: string, public address: string) {
    this.runDir = `${FOLDER}/${netns}/run`;
    this.stateDir = `${FOLDER}/${netns}/state`;
    this.log = `${FOLDER}/${netns}/log`;
    Deno.mkdirSync(`${FOLDER}/${netns}`, { recursive: true });
  }
  /** Where commands find the daemon. */
  get env(): Readonly<Record<string, string>> {
    const folders = { MESHNET_RUN_DIR: this.runDir, MESHNET_STATE_DIR: this.stateDir };
    // An engine of this machine is none of the lab's business.
    return { ...folders, NO_COLOR: "1", MESHNET_DOCKER: "off", ...this.environment };
  }
  /** The daemon's process; throws when none was started. */
  get daemon(): Background {
    if (this.#daemon === undefined) throw new Error(`No daemon was started on ${this.netns}`);
    return this.#daemon;
  }
  /** The arguments that start the daemon. */
  upCommand(...options: readonly string[]): readonly string[] {
    const name = this.peerName === undefined ? [] : ["--name", this.peerName];
    return ["up", "--nickname", this.netns, ...name, ...options, ...this.upOptions];
  }
  /** Starts the daemon without waiting for anything. */
  start(...options: readonly string[]): Background {
    const argv = [...this.startedBy, ...this.program, ...this.upCommand(...options)];
    this.#daemon = new Background(argv, this.log, { netns: this.netns, env: this.env });
    return this.#daemon;
  }
  /** What the threads of a daemon do that does not answer. */
  threads(): readonly string[] {
    try {
      return this.#daemon === undefined ? [] : threadsOf(this.#daemon.pid);
    } catch {
      return []; // it has ended
    }
  }
  /** Starts the daemon and waits until it answers. */
  async up(...options: readonly string[]): Promise<void> {
    this.start(...options);
    await this.answers();
  }
  /** Waits until the daemon answers. */
  async answers({ everyMs }: { readonly everyMs?: number } = {}): Promise<StatusReport> {
    return await until(`the daemon on ${this.netns} answers`, () => this.#statusOfLiving(), { everyMs });
  }
  async #statusOfLiving(): Promise<StatusReport> {
    const code = this.#daemon?.code;
    if (code === undefined) return await this.status();
    throw new Hopeless(
      `The daemon on ${this.netns} ended with ${code}: ${this.daemon.output().trim().slice(-500)}`,
    );
  }
  /** Asks the daemon over its socket: what `status --json` prints, without the cost of a process. A kernel in which many
   * namespaces come and go may hold a daemon up for ten seconds. */
  async status(): Promise<StatusReport> {
    return await callDaemon({ method: "GET", path: "/status" }, {
      runDir: this.runDir,
      timeoutMs: 30_000 * slowness(),
    });
  }
  /** What `report` prints, asked for in the same way. */
  async report(): Promise<FullReport> {
    return await callDaemon({ method: "GET", path: "/report" }, {
      runDir: this.runDir,
      timeoutMs: 30_000 * slowness(),
    });
  }
  /** Waits until so many connections carry traffic. */
  async established(count = 1, ms = 60_000, everyMs?: number): Promise<StatusReport> {
    return await until(`${count} connections of ${this.netns} are established`, async () => {
      const status = await this.#statusOfLiving();
      return status.connections.filter((c) => c.state === "established").length >= count ? status : undefined;
    }, { ms, everyMs });
  }
  /** Waits until its status tells of no problem. */
  async fine(): Promise<StatusReport> {
    let last: StatusReport["problems"] = [];
    return await until(`${this.netns} has no problem`, async () => {
      const status = await this.#statusOfLiving();
      last = status.problems;
      return last.length === 0 && status;
    }).catch((error) => {
      throw new Error(`${error}: ${JSON.stringify(last)}`);
    });
  }
  /** Runs a command of meshnet, whatever its exit code. */
  async attempt(...args: readonly string[]): Promise<Output> {
    return await attempt([...this.program, ...unasked(args)], { env: this.env, netns: this.netns });
  }
  /** Runs a command of meshnet that must succeed. */
  async run(...args: readonly string[]): Promise<string> {
    return await exec([...this.program, ...unasked(args)], { env: this.env, netns: this.netns });
  }
  /** Attaches a container over the socket; scenarios about `attach` itself use run(). */
  async attach(container: Container, ...addresses: readonly string[]): Promise<void> {
    const body = { target: `netns:${container.netns}`, addresses };
    await callDaemon({ method: "POST", path: "/attach", body }, {
      runDir: this.runDir,
      timeoutMs: 20_000 * slowness(),
    });
    container.addresses = addresses.map((cidr) => cidr.split("/")[0]!);
  }
  /** The kernel's flows, as `ovs-dpctl` sees them. */
  async flows(): Promise<readonly KernelFlow[]> {
    return await dumpFlows(this.netns);
  }
  /** The kernel's counters, as `ovs-dpctl show` prints them. */
  async counters(): Promise<DatapathCounters> {
    return await readCounters(this.netns);
  }
  /** Ends the daemon with SIGKILL. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.[Symbol.asyncDispose]();
  }
}

/** How a world looks. */
export interface WorldOptions {
  readonly hosts: number;
  readonly containers?: number;
  /** MTU of the underlay. */
  readonly mtu?: number;
  /** Two hosts on one cable, with no bridge between them. */
  readonly direct?: boolean;
  /** Which hosts have an IPv6 address on the underlay and no IPv4 address: none unless said. `but-first`: the first has
   * IPv4 alone, the second both. */
  readonly ipv6?: "all" | "but-first";
  /** Whether to load the kernel's module first; it stays loaded. Yes unless said. */
  readonly openvswitch?: boolean;
  /** What the names of all namespaces begin with. */
  readonly prefix?: string;
  /** Put behind the options of every `up`. */
  readonly upOptions?: readonly string[];
  /** Added to the environment of daemons and commands. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What starts meshnet, if not the program that the lab is about. */
  readonly program?: readonly string[] | undefined;
}

/** Namespaces and links of one arrangement. */
export class World implements Arrangement {
  readonly hosts: Host[] = [];
  readonly containers: Container[] = [];

  readonly #openvswitch: boolean;
  readonly #backlogDrops = backlogDrops();

  private constructor(readonly prefix: string, openvswitch: boolean) {
    this.#openvswitch = openvswitch;
  }

  /** Makes hosts and containers; nothing of meshnet runs yet. */
  static async create(options: WorldOptions): Promise<World> {
    const openvswitch = options.openvswitch ?? true;
    const world = new World(options.prefix ?? `w${++worlds}`, openvswitch);
    if (openvswitch) await loadOpenvswitch();
    unpacked ??= exec([...PROGRAM, "version"]);
    await unpacked;
    try {
      await world.#build(options);
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }
  /** Namespaces, links and addresses. */
  async #build(options: WorldOptions): Promise<void> {
    const fabric = this.fabric;
    const numbers = Array.from({ length: options.hosts }, (_, i) => i + 1);
    const mtu = options.mtu ?? 1500;
    if (options.direct ?? false) await this.#cable(mtu);
    else {await ip([
        `netns add ${fabric}`,
        `link add br0 netns ${fabric} type bridge`,
        ...numbers.flatMap((n) => [
          `netns add ${this.prefix}h${n}`,
          `link add eth0 mtu ${mtu} netns ${this.prefix}h${n} type veth peer name p${n} mtu ${mtu} netns ${fabric}`,
        ]),
      ]);}
    if (!(options.direct ?? false)) {
      await ip([
        "link set br0 up",
        ...numbers.map((n) => `link set p${n} master br0 up`),
      ], fabric);
    }
    for (const n of numbers) {
      const ipv4 = `192.168.50.${n}`;
      const ipv6 = options.ipv6 === "all" || options.ipv6 === "but-first" && n > 1;
      const host = new Host(`${this.prefix}h${n}`, ipv6 ? `fd50::${n}` : ipv4);
      host.peerName = `02:00:00:00:50:${n.toString(16).padStart(2, "0")}`;
      host.upOptions = options.upOptions ?? [];
      host.environment = options.environment ?? {};
      host.program = options.program ?? PROGRAM;
      const addresses = [
        ...(ipv6 ? [`${host.address}/64 dev eth0 nodad`] : []),
        ...(!ipv6 || options.ipv6 === "but-first" && n === 2 ? [`${ipv4}/24 dev eth0`] : []),
      ];
      await ip(
        ["link set lo up", ...addresses.map((one) => `addr add ${one}`), "link set eth0 up"],
        host.netns,
      );
      this.hosts.push(host);
    }
    await this.addContainers(options.containers ?? 0);
  }
  /** Two hosts and the cable between them. */
  async #cable(mtu: number): Promise<void> {
    const [one, two] = [1, 2].map((n) => `${this.prefix}h${n}`);
    await ip([
      ...[one, two].map((name) => `netns add ${name}`),
      `link add eth0 mtu ${mtu} netns ${one} type veth peer name eth0 mtu ${mtu} netns ${two}`,
    ]);
  }
  /** The namespace with the underlay's bridge; host n hangs on its port `p<n>`. */
  get fabric(): string {
    return `${this.prefix}fabric`;
  }
  /** Host number n, from 1. */
  host(n: number): Host {
    const host = this.hosts[n - 1];
    if (host === undefined) throw new RangeError(`There is no host ${n}`);
    return host;
  }
  /** Container number n, from 1. */
  container(n: number): Container {
    const container = this.containers[n - 1];
    if (container === undefined) throw new RangeError(`There is no container ${n}`);
    return container;
  }
  /** Makes namespaces that can be attached. */
  async addContainers(count: number): Promise<readonly Container[]> {
    const fresh = Array.from(
      { length: count },
      (_, i) => new Container(`${this.prefix}c${this.containers.length + i + 1}`),
    );
    if (count > 0) await ip(fresh.map((container) => `netns add ${container.netns}`));
    if (count > 0) await ip(fresh.map((container) => `-n ${container.netns} link set lo up`)).catch(() => {});
    this.containers.push(...fresh);
    return fresh;
  }
  /** Starts every daemon, each pointed at host 1, and waits until all are connected to all. */
  async upAll(...options: readonly string[]): Promise<void> {
    const first = this.host(1);
    first.start(...options);
    for (const host of this.hosts.slice(1)) host.start("--peers", first.address, ...options);
    await Promise.all(this.hosts.map(async (host) => {
      await host.answers();
      await host.established(this.hosts.length - 1);
    }));
  }
  async explain(): Promise<string> {
    const parts = await Promise.all(this.hosts.map(async (host) => {
      const log = await Deno.readTextFile(host.log).catch(() => "(never started)");
      const look = this.#openvswitch ? ["ovs-dpctl", "dump-flows"] : ["bridge", "fdb"];
      const flows = await attempt(look, { netns: host.netns, timeoutMs: 5_000 });
      const status = await host.status().then(
        (answer) => JSON.stringify(answer.connections),
        (error) => [String(error), ...host.threads()].join("\n"),
      );
      const losses = await host.report().then(lossesOf, () => []);
      return [
        `--- ${host.netns}: ${status}`,
        `lost: ${[...losses, ...await dropsIn(host.netns)].join(", ")}`,
        ...(flows.stdout + flows.stderr).split("\n").slice(0, 20),
        ...log.trim().split("\n").slice(-30),
      ].join("\n");
    }));
    const lost = await Promise.all(this.containers.map(async ({ netns }) => {
      return (await dropsIn(netns)).map((drop) => `${netns} ${drop}`);
    }));
    const queues = `queues of the machine's processors ${backlogDrops() - this.#backlogDrops}`;
    return [...parts, `lost outside of hosts: ${[...lost.flat(), queues].join(", ")}`].join("\n");
  }
  /** Ends the daemons and removes every namespace and file of this world, whatever became of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host[Symbol.asyncDispose]();
    const ours = (name: string) =>
      name.startsWith(this.prefix) && /^[a-z]+[0-9]*(-.*)?$/.test(name.slice(this.prefix.length));
    const names = namesIn("/run/netns").filter(ours);
    if (names.length > 0) await ip(names.map((name) => `netns del ${name}`));
    for (const name of namesIn("/etc/netns").filter(ours)) {
      await Deno.remove(`/etc/netns/${name}`, { recursive: true }); // of namespaces that are gone, too
    }
    for (const { name } of [...Deno.readDirSync(FOLDER)].filter((entry) => ours(entry.name))) {
      await Deno.remove(`${FOLDER}/${name}`, { recursive: true });
    }
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Here nobody can be asked: `reset` is told so. */
function unasked(args: readonly string[]): readonly string[] {
  return args[0] !== "reset" || args.includes("--dry-run") || args.includes("--yes")
    ? args
    : [...args, "--yes"];
}
