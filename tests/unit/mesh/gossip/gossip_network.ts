/** Topologies, channels and engines of many peers on one virtual clock: what a router does, without its connections. */
import assert from "node:assert/strict";
import type { PeerName } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Random } from "../../../../mod/core/ports.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { GossipEngine } from "../../../../mod/mesh/gossip/gossip.ts";
import { RouteTable } from "../../../../mod/mesh/topology/routes.ts";
import { Topology } from "../../../../mod/mesh/topology/topology.ts";
import { TopologyChannel } from "../../../../mod/mesh/gossip/topology_channel.ts";
import { at } from "./gossip_samples.ts";
import { peer, record, stateOf } from "../topology/topology_samples.ts";

const TICK_MS = 100;

interface Node {
  readonly number: number;
  readonly topology: Topology;
  readonly channel: TopologyChannel;
  readonly engine: GossipEngine;
  /** Connections by the number of the remote. */
  readonly links: Map<number, LinkId>;
  established: RouteTable;
}

/** Peers 1 to `size`, without connections. */
export class GossipNetwork {
  readonly #nodes = new Map<number, Node>();
  readonly #remotes = new Map<LinkId, Node>();
  #links = 0;
  #uid = 1;
  now: Millis = at(0);
  /** Bytes of gossip delivered so far. */
  bytes = 0;

  constructor(size: number, readonly random: Random) {
    for (let number = 1; number <= size; number++) this.#start(number);
  }

  #start(number: number): Node {
    const self = {
      ...record(number, 0),
      shortId: this.random.below(64) as never,
      uid: BigInt(this.#uid++) as never,
    };
    const topology = new Topology(self, this.random);
    const channel = new TopologyChannel(topology);
    // Peers do not start at the same moment.
    const engine = new GossipEngine({ topology: channel, random: this.random, now: this.now });
    const established = new RouteTable(topology.establishedGraph(), topology.self);
    const node = { number, topology, channel, engine, links: new Map(), established };
    this.#nodes.set(number, node);
    this.#reroute(node);
    return node;
  }

  /** Whether two peers are connected. */
  connected(a: number, b: number): boolean {
    return this.#nodes.get(a)!.links.has(b);
  }

  /** Connects two peers and establishes the connection at both ends. */
  connect(a: number, b: number): void {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const node = this.#nodes.get(from)!;
      const remote = this.#nodes.get(to)!;
      const id = ++this.#links as LinkId;
      const { own } = remote.topology;
      const { restarted } = node.topology.ensure({ ...own });
      node.topology.retain(own.name);
      const reachable = node.established.reaches(own.name);
      node.topology.setLink({
        peer: own.name,
        address: `10.0.0.${to}:6783`,
        outbound: from === a,
        established: true,
      });
      node.links.set(to, id);
      this.#remotes.set(id, remote);
      node.engine.addConnection(id, own.name, 0 as Millis);
      if (!reachable || restarted) node.engine.sendFullState(id);
      node.channel.requestUpdate([own.name], this.now);
      node.engine.holdRelays();
    }
  }

  /** Ends a connection; what was on its way is lost. */
  disconnect(a: number, b: number): void {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const node = this.#nodes.get(from)!;
      const id = node.links.get(to)!;
      node.links.delete(to);
      this.#remotes.delete(id);
      node.engine.removeConnection(id);
      node.topology.removeLink(peer(to));
      node.topology.release(peer(to));
      node.channel.collect(this.now);
      node.channel.requestUpdate([], this.now);
      node.engine.holdRelays();
    }
  }

  /** Ends all connections of a peer and starts it anew: everything it knew is gone, its version begins at 0. */
  restart(number: number): void {
    for (const to of [...this.#nodes.get(number)!.links.keys()]) this.disconnect(number, to);
    this.#start(number);
  }

  /** Lets time pass. */
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now = at(this.now + TICK_MS);
      for (const node of this.#nodes.values()) {
        const update = node.channel.wake(this.now);
        if (update !== undefined) node.engine.gossip("topology", update);
        node.engine.wake(this.now);
        const news = node.channel.takeOutcome();
        if (news.removed.length > 0) node.engine.peersRemoved(news.removed.map(({ name }) => name));
        if (news.changed || node.engine.holding) this.#reroute(node);
      }
      // A connection takes little at a time, so that some of what waits merges.
      for (const node of this.#nodes.values()) for (const id of node.engine.ready()) this.#deliver(node, id);
    }
  }

  #deliver(node: Node, id: LinkId): void {
    const remote = this.#remotes.get(id)!;
    for (let i = 0; i < 3; i++) {
      const message = node.engine.take(id);
      if (message === undefined) return;
      this.bytes += message.length;
      assert.deepEqual(remote.engine.receive(remote.links.get(node.number)!, message, this.now), {
        ok: true,
        value: undefined,
      });
    }
  }

  #reroute(node: Node): void {
    node.established = new RouteTable(node.topology.establishedGraph(), node.topology.self);
    node.engine.setRoutes(new RouteTable(node.topology.allGraph(), node.topology.self));
  }

  /** Fails unless every peer knows exactly the peers it can reach, as those describe themselves. */
  agree(): void {
    for (const node of this.#nodes.values()) {
      const reached = new Set([node.number]);
      for (const each of reached) for (const to of this.#nodes.get(each)!.links.keys()) reached.add(to);
      const expected = [...reached].flatMap((each) => ownOf(this.#nodes.get(each)!));
      const byName = (a: { name: PeerName }, b: { name: PeerName }) => a.name < b.name ? -1 : 1;
      assert.deepEqual(
        stateOf(node.topology),
        expected.sort(byName),
        `peer ${node.number} at ${this.now} ms`,
      );
    }
  }

  /** The channel of a peer. */
  channel(number: number): TopologyChannel {
    return this.#nodes.get(number)!.channel;
  }
}

function ownOf(node: Node) {
  return stateOf(node.topology).filter(({ name }) => name === node.topology.self);
}
