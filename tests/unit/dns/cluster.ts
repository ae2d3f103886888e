/** Many directories on one virtual clock, and between them a network that loses, doubles, delays and splits. */
import assert from "node:assert/strict";
import { type PeerName, peerNameFromNumber } from "../../../mod/core/names.ts";
import type { GossipData } from "../../../mod/core/ports.ts";
import { type ChannelEffect, DnsChannel } from "../../../mod/dns/records/channel.ts";
import { Directory } from "../../../mod/dns/records/directory.ts";
import type { DirectoryEvent } from "../../../mod/dns/records/directory_types.ts";
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { RECORD_TYPE } from "../../../mod/wire/dns/dns_types.ts";
import { HostNetwork, type NetworkHost, type NetworkTroubles, type Take } from "../../sim/host_network.ts";

/** Nothing goes wrong. */
export const CALM: Required<NetworkTroubles> = { loss: 0, twice: 0, late: 0 };
const WALL = 1_700_000_000;

/** One host, whose directory ends with its process. */
export class Host implements NetworkHost<DnsChannel> {
  process: { readonly directory: Directory; readonly channel: DnsChannel } | undefined;
  run = 0;
  group = 0;
  /** Which peers its mesh knows. */
  known = new Set<PeerName>();
  /** What runs here, and under which names; the truth that all directories are to tell. */
  readonly containers = new Map<string, { names: Set<string>; healthy: boolean }>();

  constructor(
    readonly world: Cluster,
    readonly name: PeerName,
    /** Whether it is of our make. */
    readonly compares: boolean,
    /** By how many seconds its clock is wrong. */
    readonly skew: number,
  ) {}

  get wall(): number {
    return WALL + this.skew + Math.floor(this.world.clock.now() / 1_000);
  }

  start(): void {
    const { world, name: self } = this;
    this.run++;
    this.containers.clear();
    const directory = new Directory({
      ...{ self, domain: "mesh.internal.", now: world.clock.now() },
      knows: (peer) => this.known.has(peer),
      wallSeconds: () => this.wall,
    }, () => {});
    const channel = new DnsChannel(directory, {
      compares: (peer) => this.compares && world.host(peer)!.compares,
      perform: (effect) => this.#perform(effect),
    });
    this.process = { directory, channel };
    world.gossip(this);
  }

  kill(): void {
    this.process = undefined;
    this.run++;
    this.containers.clear();
  }

  get directory(): Directory {
    assert.ok(this.process, `${this.name} is down`);
    return this.process.directory;
  }

  feed(event: DirectoryEvent): void {
    this.deliver((channel, now) => channel.feed(event, now));
  }

  deliver(take: Take<DnsChannel>): void {
    if (this.process === undefined) return;
    const taken = take(this.process.channel, this.world.clock.now());
    if (!taken.ok) this.world.refusals.push(`${this.name}: ${taken.reason}`);
    const [at, run] = [this.process.directory.nextWake(), this.run];
    if (at === Infinity) return;
    this.world.clock.at(at, () => {
      if (this.run !== run || (this.process?.directory.nextWake() ?? Infinity) > this.world.clock.now()) {
        return;
      }
      this.feed({ kind: "wake" });
    });
  }

  register(container: string, hostname: string, addr: number): void {
    const known = this.containers.get(container) ?? { names: new Set(), healthy: true };
    known.names.add(`${hostname} ${this.name} ${container} ${addr}`);
    this.containers.set(container, known);
    const data = { type: RECORD_TYPE.A, addr, rdata: "" };
    this.feed({ kind: "register", id: 0, container, hostname, data });
  }

  /** A container ends. */
  end(container: string): void {
    this.containers.delete(container);
    this.feed({ kind: "gone", container });
  }

  setHealth(container: string, healthy: boolean): void {
    this.containers.get(container)!.healthy = healthy;
    this.feed({ kind: "health", container, healthy });
  }

  gossipTo(other: Host): void {
    this.transmit(other, this.process?.channel.fullState());
  }

  /** Gossip of neighbours, passed on as the engine does: to two by chance. */
  transmit(other: Host, data: GossipData | undefined): void {
    for (const bytes of data?.encode(other.name) ?? []) {
      this.world.sendOctets(this, other, bytes.length, (channel, now) => {
        const taken = channel.onGossip(bytes, now, this.name);
        if (taken.ok && taken.value !== undefined) {
          for (let i = 0; i < 2; i++) {
            const next = this.world.reachable(other);
            if (next.length > 0) other.transmit(this.world.random.pick(next), taken.value);
          }
        }
        return taken;
      });
    }
  }

  meet(others: readonly Host[]): void {
    const known = new Set([this, ...others].map(({ name }) => name));
    const left = [...this.known].filter((peer) => !known.has(peer));
    this.known = known;
    this.deliver((channel, now) => {
      channel.onPeersRemoved(left);
      for (const { name } of others) channel.onNeighbour(name, now);
      return { ok: true };
    });
  }

  #perform(effect: ChannelEffect): void {
    const { world } = this;
    if (effect.kind === "unicast") {
      const { to, payload } = effect;
      if (this.process === undefined) return;
      world.sendOctets(
        this,
        world.host(to)!,
        payload.length,
        (channel, now) => channel.onUnicast(this.name, payload, now),
      );
    }
    if (effect.kind !== "broadcast") return;
    const payloads = [...effect.data.encode()];
    for (const to of world.reachable(this)) {
      for (const bytes of payloads) {
        world.sendOctets(
          this,
          to,
          bytes.length,
          (channel, now) => channel.onBroadcast(this.name, bytes, now),
        );
      }
    }
  }
}

/** Hosts 1 to N. */
export class Cluster extends HostNetwork<DnsChannel, Host, Required<NetworkTroubles>> {
  octets = 0;

  /** Every `others`-th host is of another make; 0: none is. */
  constructor(options: { seed: number; hosts: number; others?: number }) {
    const { seed, hosts, others = 0 } = options;
    super(seed, CALM, 2_000);
    for (let i = 1; i <= hosts; i++) {
      const compares = others === 0 || i % others !== 0;
      this.hosts.push(new Host(this, peerNameFromNumber(i)!, compares, this.random.below(120) - 60));
    }
    for (const host of this.hosts) host.start();
    this.rewire();
  }

  sendOctets(from: Host, to: Host, octets: number, take: Take<DnsChannel>): void {
    if (this.send(from, to, take)) this.octets += octets;
  }

  /** What the containers of running hosts come to, sorted. */
  truth(): string[] {
    return this.hosts.flatMap(({ containers, process }) =>
      process === undefined
        ? []
        : [...containers.values()].flatMap(({ names, healthy }) =>
          [...names].map((name) => `${name} ${healthy}`)
        )
    ).sort();
  }

  /** All directories tell the truth. */
  checkTrue(): void {
    const truth = this.truth();
    for (const host of this.hosts) {
      if (host.process === undefined) continue;
      assert.deepEqual(tellOf(host.directory), truth, `${host.name} at ${this.clock.now()} ms`);
    }
  }
}

/** What a directory answers from, sorted. */
export function tellOf({ store }: Directory): string[] {
  const living = ({ tombstone, unhealthy }: DnsEntry) => tombstone === 0 || unhealthy;
  return store.origins().flatMap((origin) => [...store.of(origin)]).filter(living).map((entry) =>
    `${entry.hostname.slice(0, -1)} ${entry.origin} ${entry.container} ${entry.addr} ${!entry.unhealthy}`
  ).sort();
}
