/** A mesh of simulated peers, what can be done to it, and what must hold once it has settled. */
import assert from "node:assert/strict";
import type { PeerName } from "../../mod/core/names.ts";
import type { GossipChannel, Sealer } from "../../mod/core/ports.ts";
import type { PeerRecord } from "../../mod/core/topology_record.ts";
import type { RouteTable } from "../../mod/mesh/topology/routes.ts";
import { VirtualClock } from "./clock.ts";
import { type Faults, Network } from "./network.ts";
import { addressOf, nameOf, NO_SEALER, type OverlayFaults, SimNode } from "./node.ts";
import { shareRecords } from "./records.ts";
import { SeededRandom } from "./random.ts";
import { Trace } from "./trace.ts";

/** A network and overlays without faults. */
export const CALM: Faults = { delay: [0.2, 2], loss: 0, cut: 0 };
/** Overlays without faults. */
export const CALM_OVERLAY: OverlayFaults = { interval: 100, loss: 0, fails: 0 };
/** A network that misbehaves. */
export const ROUGH: Faults = { delay: [0.2, 80], loss: 0.05, cut: 0.3 };
/** Overlays that misbehave. */
export const ROUGH_OVERLAY: OverlayFaults = { interval: 500, loss: 0.3, fails: 0.02 };

/** How a world is made. */
export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly faults?: Faults;
  readonly overlay?: OverlayFaults;
  readonly sealer?: Sealer;
  readonly password?: string;
  readonly connLimit?: number;
  readonly discovery?: boolean;
  /** The last node has the name of the one before. */
  readonly clone?: boolean;
  /** Nodes take another name when another one has theirs. */
  readonly canRename?: boolean;
}

/** N peers on one clock and one network. */
export class World {
  readonly clock = new VirtualClock();
  readonly trace = new Trace();
  readonly random: SeededRandom;
  readonly network: Network;
  readonly nodes: readonly SimNode[];
  /** How overlays behave from now on. */
  readonly overlay: { -readonly [K in keyof OverlayFaults]: OverlayFaults[K] };

  constructor(readonly options: WorldOptions) {
    const { seed, nodes, faults = CALM, overlay = CALM_OVERLAY, sealer = NO_SEALER, password } = options;
    const { canRename = false, connLimit = 0, discovery = true } = options;
    const { clock, trace } = this;
    this.random = new SeededRandom(seed);
    this.network = new Network(clock, this.random.fork(0), faults);
    const decodeTopology = shareRecords();
    const shared = {
      decodeTopology,
      clock,
      trace,
      network: this.network,
      overlay,
      sealer,
      connLimit,
      discovery,
      canRename,
    };
    const context = {
      ...shared,
      password: password === undefined ? undefined : new TextEncoder().encode(password),
    };
    this.overlay = { ...overlay };
    const whole = { ...context, overlay: this.overlay };
    const nameAt = (i: number) => nameOf(options.clone === true && i === nodes - 1 ? i - 1 : i);
    this.nodes = Array.from(
      { length: nodes },
      (_, i) => new SimNode({ index: i, name: nameAt(i) }, whole, this.random.fork(i + 1)),
    );
  }

  /** Nodes that run. */
  get running(): SimNode[] {
    return this.nodes.filter((node) => node.core !== undefined);
  }

  /** Starts all nodes at once, each told of the nodes that `peersOf` names. */
  startAll(
    peersOf: (index: number) => readonly number[],
    channels?: (index: number) => readonly GossipChannel[],
  ): void {
    for (const node of this.nodes) {
      const targets = peersOf(node.index).filter((i) => i !== node.index).map((i) => addressOf(i).ip);
      node.start({ targets, channels: channels?.(node.index) ?? [] });
    }
  }

  /** Splits the network into groups of addresses. */
  split(groups: readonly (readonly string[])[]): void {
    this.trace.note(this.clock.now(), "*", `split into ${groups.map((group) => group.length).join(" and ")}`);
    this.network.partition(groups);
  }

  /** Ends a partition. */
  heal(): void {
    this.trace.note(this.clock.now(), "*", "heal");
    this.network.heal();
  }

  /** Ends all faults. */
  calm(): void {
    this.heal();
    this.network.faults = CALM;
    Object.assign(this.overlay, CALM_OVERLAY);
  }

  /** Lets virtual time pass. */
  run(ms: number): void {
    this.clock.run(ms);
  }

  /** Runs until the mesh has settled; the time it took. Fails with the reason after `limit` milliseconds. */
  settle(limit: number, options: { readonly full: boolean } = { full: true }): number {
    const start = this.clock.now();
    for (;;) {
      const trouble = this.trouble(options.full);
      if (trouble === undefined) return this.clock.now() - start;
      assert.ok(this.clock.now() - start < limit, `not settled after ${limit} ms: ${trouble}`);
      this.run(100);
    }
  }

  /** Why the mesh has not settled, or undefined. `full`: every peer has to be connected to every other. */
  trouble(full: boolean): string | undefined {
    const running = this.running;
    const own = new Map(running.map((node) => [node.name, node.core!.topology.own]));
    for (const node of running) {
      const { topology } = node.core!;
      if (full && topology.own.links.length !== running.length - 1) {
        return `${node.label} has ${topology.own.links.length} connections`;
      }
      const pending = topology.own.links.find((link) => !link.established);
      if (pending !== undefined) return `${node.label} waits for the overlay to ${pending.peer}`;
      if (topology.size !== running.length) return `${node.label} knows ${topology.size} peers`;
      for (const [name, record] of own) {
        const seen = topology.get(name);
        if (seen?.version !== record.version || seen.uid !== record.uid) {
          return `${node.label} has version ${seen?.version} of ${name}, which is at ${record.version}`;
        }
      }
      if (node.core!.gossipRoutes?.graph !== topology.allGraph()) return `${node.label} has old routes`;
      if (node.core!.establishedRoutes?.graph !== topology.establishedGraph()) {
        return `${node.label} has old routes`;
      }
    }
    return undefined;
  }

  /** Checks everything that must hold in a settled mesh. `sample`: nodes whose whole topology is compared. */
  agree(sample = Infinity): void {
    const running = this.running;
    this.#recordsAgree(running, sample);
    this.#connectionsMatch(running);
    for (const table of ["establishedRoutes", "gossipRoutes"] as const) {
      const tables = new Map(running.map((node) => [node.name, node.core![table]!]));
      for (const node of running) {
        unicastsArrive(node.name, tables);
        broadcastReachesAll(node.name, tables);
      }
    }
  }

  #recordsAgree(running: readonly SimNode[], sample: number): void {
    const shortIds = new Map<number, PeerName>();
    for (const node of running) {
      const { own } = node.core!.topology;
      assert.equal(shortIds.get(own.shortId!), undefined, `short id of ${node.label} is taken twice`);
      shortIds.set(own.shortId!, node.name);
    }
    for (const node of running.slice(0, sample)) {
      for (const other of running) {
        const theirs = other.core!.topology.own;
        assert.deepEqual(
          plain(node.core!.topology.get(other.name)),
          plain(theirs),
          `${node.label} on ${other.label}`,
        );
      }
    }
  }

  #connectionsMatch(running: readonly SimNode[]): void {
    let ends = 0;
    for (const node of running) {
      const { connections } = node.core!.snapshot(this.clock.now());
      const live = connections.filter((each) => each.state === "established" || each.state === "pending");
      ends += live.length;
      for (const connection of live) {
        const other = running.find((each) => each.name === connection.peer);
        const back = other?.core?.topology.own.links.find((link) => link.peer === node.name);
        assert.equal(
          back?.outbound,
          !connection.outbound,
          `${node.label} and ${other?.label} hold the same connection`,
        );
      }
    }
    const open = [...this.network.ends].length;
    assert.equal(open, ends, "every open connection is one in a table: no half-open ones are left");
  }
}

function plain(record: PeerRecord | undefined): unknown {
  if (record === undefined) return undefined;
  const links = [...record.links].sort((a, b) => a.peer < b.peer ? -1 : 1);
  return { ...record, links };
}

type Tables = ReadonlyMap<PeerName, RouteTable>;

/** Following the next hops from `from` leads to every peer, without a loop. */
function unicastsArrive(from: PeerName, tables: Tables): void {
  for (const to of tables.keys()) {
    let at = from;
    for (let hops = 0; at !== to; hops++) {
      assert.ok(hops < tables.size, `the way from ${from} to ${to} has a loop at ${at}`);
      const next = tables.get(at)!.nextHop(to);
      assert.ok(next !== undefined, `there is no way from ${at} to ${to}`);
      at = next;
    }
  }
}

/** A broadcast of `source`, relayed by all, reaches each peer exactly once. */
function broadcastReachesAll(source: PeerName, tables: Tables): void {
  const reached = new Map<PeerName, number>([[source, 1]]);
  const queue = [source];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const next of tables.get(at)!.broadcast(source)) {
      const times = (reached.get(next) ?? 0) + 1;
      reached.set(next, times);
      assert.equal(times, 1, `a broadcast of ${source} reaches ${next} ${times} times`);
      queue.push(next);
    }
  }
  assert.equal(reached.size, tables.size, `a broadcast of ${source} reaches all`);
}

let current: World | undefined;

/** Makes a world and keeps it for the diagram of a failure. */
export function createWorld(options: WorldOptions): World {
  return current = new World(options);
}

/** Runs one simulation with each seed; a failure prints the seed and what led to it. MESHNET_SEED replays one alone. */
export function simulate(title: string, seeds: readonly number[], run: (seed: number) => void): void {
  const replay = Deno.env.get("MESHNET_SEED");
  for (const seed of replay === undefined ? seeds : [Number(replay)]) {
    try {
      run(seed);
    } catch (error) {
      console.error(`${title} failed with seed ${seed}; replay with MESHNET_SEED=${seed}`);
      console.error(current?.trace.diagram());
      throw error;
    }
  }
}
