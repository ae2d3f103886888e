/** Many allocators on one virtual clock, and between them a network that loses, delays and splits. */
import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import { type PeerName, peerNameFromNumber } from "../../../mod/core/names.ts";
import { Allocator } from "../../../mod/ipam/allocator.ts";
import type { AllocatorEffect, AllocatorEvent, Init, Outcome } from "../../../mod/ipam/allocator_types.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { AllocatorChannel } from "../../../mod/ipam/channel.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import { HostNetwork, type NetworkHost, type NetworkTroubles, type Take } from "../../sim/host_network.ts";

/** What the network and the hosts suffer. */
export interface Troubles extends NetworkTroubles {
  /** Probability of a crash before an effect is carried out. */
  readonly crash: number;
}

/** Nothing goes wrong. */
export const CALM: Troubles = { loss: 0, late: 0, crash: 0 };

class Crash extends Error {}

/** One host: a disk that survives and a process that need not. */
export class Host implements NetworkHost<AllocatorChannel> {
  readonly disk = new Map<string, string>();
  process: { readonly allocator: Allocator; readonly channel: AllocatorChannel } | undefined;
  /** Gone for good. */
  lost = false;
  group = 0;
  run = 0;
  readonly outcomes = new Map<number, Outcome>();
  readonly notes: string[] = [];
  /** By how much its monotonic clock is ahead of the others', in milliseconds. */
  #ahead = 0;
  /** What its wall clock says at the beginning. */
  #wall = 1_700_000_000;

  constructor(
    readonly world: Cluster,
    readonly name: PeerName,
    public init: Init,
    readonly universe: Universe,
  ) {}

  start(): void {
    const { world, universe, name: self, init, disk } = this;
    this.run++;
    const uid = BigInt(world.random.below(2 ** 32)) + 1n;
    const allocator = new Allocator({
      ...{ universe, self, uid, nickname: `h${parseInt(self.slice(-2), 16)}`, init },
      stored: new Map(disk),
      random: world.random,
      wallSeconds: () => this.#wall + Math.floor(this.now() / 1_000),
    });
    const channel = new AllocatorChannel(
      allocator,
      (effects) => effects.forEach((effect) => this.#perform(effect)),
    );
    this.process = { allocator, channel };
    this.feed({ kind: "start" });
    world.gossip(this);
  }

  /** The time as this host sees it. */
  now(): Millis {
    return this.world.clock.now() + this.#ahead as Millis;
  }

  /** The clocks of the host jump: one as after a long sleep, the wall clock in any direction. */
  jump({ aheadMs, wallSeconds }: { readonly aheadMs: number; readonly wallSeconds: number }): void {
    this.#ahead += aheadMs;
    this.#wall += wallSeconds;
    this.feed({ kind: "wake" });
  }

  /** The host has another disk now. Perhaps it has started with that before, and ended without having met anybody. */
  restore(disk: ReadonlyMap<string, string>): void {
    this.disk.clear();
    for (const [key, value] of disk) this.disk.set(key, value);
    for (let starts = this.world.random.below(3); starts > 0; starts--) {
      this.start();
      this.kill();
    }
  }

  kill(): void {
    this.process = undefined;
    this.run++;
  }

  get allocator(): Allocator {
    assert.ok(this.process, `${this.name} is down`);
    return this.process.allocator;
  }

  feed(event: AllocatorEvent): void {
    if (this.process === undefined) return;
    this.world.steps++;
    this.#guard(() => {
      for (const effect of this.process!.allocator.step(event, this.now())) this.#perform(effect);
    });
  }

  deliver(take: Take<AllocatorChannel>): void {
    if (this.process === undefined) return;
    this.world.steps++;
    this.#guard(() => {
      const taken = take(this.process!.channel, this.now());
      if (!taken.ok) this.world.refusals.push(`${this.name}: ${taken.reason}`);
    });
  }

  gossipTo(other: Host): void {
    for (const bytes of this.process?.channel.data.encode() ?? []) {
      this.world.count(1, bytes.length);
      this.world.send(this, other, (channel, now) => channel.onGossip(bytes, now));
    }
  }

  meet(others: readonly Host[]): void {
    this.feed({
      kind: "mesh",
      peers: others.map(({ name }) => name),
      expected: this.world.expected ?? this.world.hosts.length,
    });
  }

  #guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.kill();
      this.world.rewire();
    }
    this.world.afterStep(this);
    const at = this.process?.allocator.nextWake() ?? Infinity;
    const run = this.run;
    if (at < Infinity) {
      this.world.clock.after(at - this.now(), () => {
        if (this.run === run && (this.process?.allocator.nextWake() ?? Infinity) <= this.now()) {
          this.feed({ kind: "wake" });
        }
      });
    }
  }

  #perform(effect: AllocatorEffect): void {
    const { world } = this;
    if (world.random.chance(world.troubles.crash)) throw new Crash();
    switch (effect.kind) {
      case "store":
        if (effect.value === undefined) this.disk.delete(effect.key);
        else this.disk.set(effect.key, effect.value);
        return;
      case "unicast": {
        const to = world.host(effect.to);
        const bytes = effect.payload;
        world.count(1, bytes.length);
        if (to !== undefined) {
          world.send(this, to, (channel, now) => channel.onUnicast(this.name, bytes, now));
        }
        return;
      }
      case "broadcast": {
        const [bytes] = [...this.process!.channel.data.encode()];
        const all = world.reachable(this);
        world.count(all.length, bytes!.length);
        for (const to of all) {
          world.send(this, to, (channel, now) => channel.onBroadcast(this.name, bytes!, now));
        }
        return;
      }
      case "answer":
        assert.ok(!this.outcomes.has(effect.id), `request ${effect.id} is answered twice`);
        return void this.outcomes.set(effect.id, effect.outcome);
      case "note":
        return void this.notes.push(`${effect.event}: ${effect.about}`);
    }
  }
}

/** Hosts h1 to hN of one range. */
export class Cluster extends HostNetwork<AllocatorChannel, Host, Troubles> {
  messages = 0;
  /** How many peers each host expects; undefined: as many as there are. */
  expected: number | undefined;
  /** Octets that arrived, or would have. */
  bytes = 0;
  /** Steps that allocators took. */
  steps = 0;
  #nextId = 1;
  #check: "owners" | "users" | "nothing" = "owners";

  constructor(options: { seed: number; hosts: number; range: string; init?: Init; neighbours?: number }) {
    super(options.seed, CALM, 200, options.neighbours);
    const made = Universe.of(parseCidr(options.range)!);
    assert.ok(made.ok);
    const init = options.init ?? { kind: "consensus", peers: options.hosts };
    for (let i = 1; i <= options.hosts; i++) {
      this.hosts.push(new Host(this, peerNameFromNumber(i)!, init, made.value));
    }
    for (const host of this.hosts) host.start();
    this.rewire();
  }

  /** So many messages of a length are sent. */
  count(messages: number, length: number): void {
    this.messages += messages;
    this.bytes += messages * length;
  }

  heal(): void {
    this.split(() => 0);
  }

  allocate(
    host: Host,
    ident: string,
    options: { subnet?: string; until?: number; noWait?: boolean } = {},
  ): number {
    const { subnet, until = Infinity, noWait = false } = options;
    const id = this.#nextId++;
    host.feed({
      ...{ kind: "allocate", id, ident, isContainer: false },
      subnet: subnet === undefined ? host.universe.cidr : parseCidr(subnet)!,
      patience: { until, noWait },
    });
    return id;
  }

  claim(host: Host, ident: string, cidr: string, lenient = false): number {
    const id = this.#nextId++;
    host.feed({
      ...{ kind: "claim", id, ident, cidr: parseCidr(cidr)!, isContainer: false, lenient },
      patience: { until: Infinity, noWait: false },
    });
    return id;
  }

  remove(host: Host, victims: readonly Host[], until = Infinity): number {
    const id = this.#nextId++;
    const peers = victims.map(({ name }) => name);
    host.feed({ kind: "remove", id, peers, patience: { until, noWait: false } });
    return id;
  }

  nextId(): number {
    return this.#nextId++;
  }

  /** From here on, two owners are what the test is about. `inUse`: two may own an address, but not use it. */
  allowConflicts({ inUse = false } = {}): void {
    this.#check = inUse ? "users" : "nothing";
  }

  afterStep(host: Host): void {
    if (this.#check === "owners") this.checkOwners(host);
    if (this.#check === "users") this.#checkUsers(host);
  }

  /** No address is in use on two hosts. */
  #checkUsers(changed: Host): void {
    const mine = new Map(
      changed.process?.allocator.status().held.flatMap(({ cidrs, ident }) =>
        cidrs.map(({ ip }) => [ip, ident] as const)
      ),
    );
    for (const other of this.hosts) {
      if (other === changed || other.lost || changed.lost) continue;
      for (const { cidrs, ident } of other.process?.allocator.status().held ?? []) {
        const twice = cidrs.find(({ ip }) => mine.has(ip))?.ip;
        if (twice === undefined) continue;
        assert.fail(
          `at ${this.clock.now()} ms ${twice} is in use by ${
            mine.get(twice)
          } on ${changed.name} and by ${ident} on ` +
            other.name,
        );
      }
    }
  }

  /** No address is owned twice: by two processes, by what one of them has stored, or by both. */
  checkOwners(changed: Host): void {
    const mine = ownedBy(changed);
    for (const other of this.hosts) {
      if (other === changed || other.lost || changed.lost) continue;
      for (const theirs of ownedBy(other)) {
        for (const span of mine) {
          if (span.start < theirs.end && theirs.start < span.end) {
            assert.fail(
              `at ${this.clock.now()} ms ${changed.name} owns ${span.start}-${span.end}, ` +
                `and ${other.name} owns ${theirs.start}-${theirs.end}`,
            );
          }
        }
      }
    }
    const process = changed.process;
    if (process === undefined) return;
    const status = process.allocator.status();
    const inUse = status.held.flatMap(({ cidrs }) => cidrs);
    assert.equal(new Set(inUse.map(({ ip }) => ip)).size, inUse.length);
    for (const { ip } of inUse) {
      const at = changed.universe.offsetOf(ip);
      if (at === undefined) continue;
      assert.ok(
        mine.some(({ start, end }) => start <= at && at < end),
        `${changed.name} uses ${ip}, which is not its own`,
      );
    }
  }

  /** All rings say the same, and no share of the universe is with the lost. */
  checkAgreed(): void {
    const running = this.hosts.filter(({ process }) => process !== undefined);
    const views = running.map((host) =>
      JSON.stringify(host.allocator.state().ring!.entries.map(({ token, owner }) => [token, owner]))
    );
    for (const [i, view] of views.entries()) assert.equal(view, views[0], `${running[i]!.name} disagrees`);
    for (const { reachable, nickname } of running[0]!.allocator.status().owners) {
      assert.ok(reachable, `${nickname} still has a share`);
    }
  }
}

/** What hosts would own after a start, by the ring on the disk, which names the host. */
const afterStart = new Map<string, readonly { start: number; end: number }[]>();

/** What a host owns: its process, or what it would own after a start. */
function ownedBy(host: Host): readonly { start: number; end: number }[] {
  if (host.process !== undefined) return host.process.allocator.ownedRanges();
  const ring = host.disk.get("ipam/ring");
  if (ring === undefined) return [];
  const known = afterStart.get(ring);
  if (known !== undefined) return known;
  const ranges = new Allocator({
    ...{ universe: host.universe, self: host.name, uid: 1n, nickname: "", init: host.init },
    stored: new Map(host.disk),
    random: { below: () => 0, bytes: () => new Uint8Array(0) },
    wallSeconds: () => 0,
  }).ownedRanges();
  if (afterStart.size > 1_000) afterStart.clear();
  afterStart.set(ring, ranges);
  return ranges;
}
