/** Engines for tests, alone and wired up with each other. */
import assert from "node:assert/strict";
import { good } from "../../../../mod/core/brand.ts";
import type { PeerName } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { GossipChannel, GossipData, Random } from "../../../../mod/core/ports.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { GossipEngine, type GossipOptions } from "../../../../mod/mesh/gossip/gossip.ts";
import { RouteTable } from "../../../../mod/mesh/topology/routes.ts";
import { Topology } from "../../../../mod/mesh/topology/topology.ts";
import { TopologyChannel } from "../../../../mod/mesh/gossip/topology_channel.ts";
import { seededRandom } from "../../properties.ts";
import { link, peer, record } from "../topology/topology_samples.ts";

/** The connection to a peer, by number. */
export function linkTo(number: number): LinkId {
  return number as LinkId;
}

/** A moment. */
export function at(ms: number): Millis {
  return ms as Millis;
}

/** The engine of peer `number` with connections to `neighbours`, which are connected to each other as `links` say. */
export function engineOf(
  number: number,
  neighbours: readonly number[],
  options: { links?: Readonly<Record<number, readonly number[]>> } & Partial<GossipOptions> = {},
): { engine: GossipEngine; topology: Topology; channel: TopologyChannel; reroute(): void } {
  const random: Random = options.random ?? seededRandom();
  const topology = new Topology(record(number, 0), random);
  const channel = new TopologyChannel(topology);
  const engine = new GossipEngine({ random, now: at(0), ...options, topology: channel });
  const records = Object.entries(options.links ?? {}).map(([n, links]) => record(Number(n), 1, links));
  const linked = new Set(records.map(({ name }) => name));
  topology.merge([
    ...records,
    ...neighbours.filter((n) => !linked.has(peer(n))).map((n) => record(n, 1, [number])),
  ]);
  for (const each of neighbours) {
    topology.setLink(link(each));
    engine.addConnection(linkTo(each), peer(each), 0 as Millis);
  }
  const reroute = () => {
    channel.takeOutcome();
    engine.setRoutes(new RouteTable(topology.allGraph(), topology.self));
  };
  reroute();
  return { engine, topology, channel, reroute };
}

/** Everything that waits for a connection. */
export function drain(engine: GossipEngine, to: number): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let next = engine.take(linkTo(to)); next !== undefined; next = engine.take(linkTo(to))) {
    messages.push(next);
  }
  return messages;
}

/** A channel whose state is a set of numbers, one byte each, and which notes what happens. */
export class SetChannel implements GossipChannel {
  readonly values = new Set<number>();
  readonly notes: string[] = [];

  constructor(readonly name: string, values: Iterable<number> = []) {
    for (const value of values) this.values.add(value);
  }
  fullState(): GossipData | undefined {
    return this.values.size === 0 ? undefined : new SetData(this.values);
  }
  onGossip(payload: Uint8Array) {
    const news = [...payload].filter((value) => !this.values.has(value));
    for (const value of news) this.values.add(value);
    return good(news.length === 0 ? undefined : new SetData(news));
  }
  onBroadcast(source: PeerName, payload: Uint8Array) {
    this.notes.push(`broadcast ${source} ${payload}`);
    return good(new SetData(payload));
  }
  onUnicast(source: PeerName, payload: Uint8Array) {
    this.notes.push(`unicast ${source} ${payload}`);
    return payload[0] === 0xff ? { ok: false, reason: "bad number" } as const : good(undefined);
  }
  onPeersRemoved(peers: readonly PeerName[]): void {
    this.notes.push(`removed ${peers}`);
  }
}

/** Numbers to send, ascending, one payload. */
export class SetData implements GossipData {
  readonly values: ReadonlySet<number>;
  constructor(values: Iterable<number>) {
    this.values = new Set(values);
  }
  merge(other: GossipData): GossipData {
    assert(other instanceof SetData);
    return new SetData(this.values.union(other.values));
  }
  encode(): readonly Uint8Array[] {
    return [Uint8Array.from([...this.values].sort((a, b) => a - b))];
  }
}
