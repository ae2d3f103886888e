/** Hosts on one virtual clock, and between them a network of messages that loses, doubles, delays and splits. */
import type { PeerName } from "../../mod/core/names.ts";
import type { Millis } from "../../mod/core/time.ts";
import { VirtualClock } from "./clock.ts";
import { SeededRandom } from "./random.ts";

/** What the network suffers: probabilities for a message. */
export interface NetworkTroubles {
  readonly loss: number;
  /** That it takes seconds and so is overtaken by later ones. */
  readonly late: number;
  /** That it arrives twice; nothing is drawn where it is not given. */
  readonly twice?: number;
}

/** Hands a message to the channel of the host where it arrives. */
export type Take<C> = (channel: C, now: Millis) => { readonly ok: boolean; readonly reason?: string };

/** A host, whose process may end and begin again. */
export interface NetworkHost<C> {
  readonly name: PeerName;
  readonly process: { readonly channel: C } | undefined;
  /** Counts its processes: what was meant for an earlier one is lost. */
  readonly run: number;
  /** Hosts of one group hear each other. */
  group: number;
  deliver(take: Take<C>): void;
  gossipTo(other: this): void;
  /** The mesh tells who else is there now. */
  meet(others: readonly this[]): void;
}

const GOSSIP_MS = 30_000;

/** See the file. */
export class HostNetwork<C, H extends NetworkHost<C>, T extends NetworkTroubles> {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly hosts: H[] = [];
  readonly refusals: string[] = [];

  /** Hosts learn of a change within `meetMs`, and then tell all that they know to so many `neighbours`. */
  constructor(seed: number, public troubles: T, readonly meetMs: number, readonly neighbours = Infinity) {
    this.random = new SeededRandom(seed);
  }

  host(name: PeerName): H | undefined {
    return this.hosts.find((host) => host.name === name);
  }

  /** Other hosts whose processes run and that the network connects with one. */
  reachable(host: H): H[] {
    return this.hosts.filter((other) =>
      other !== host && other.process !== undefined && other.group === host.group
    );
  }

  /** Sends; false when it is lost. */
  send(from: H, to: H, take: Take<C>): boolean {
    const { loss, twice, late } = this.troubles;
    if (from.group !== to.group || this.random.chance(loss)) return false;
    const run = to.run;
    for (let copies = twice !== undefined && this.random.chance(twice) ? 2 : 1; copies > 0; copies--) {
      const delay = this.random.chance(late) ? this.random.below(8_000) : 1 + this.random.below(20);
      this.clock.after(delay, () => {
        if (from.group === to.group && to.run === run) to.deliver(take);
      });
    }
    return true;
  }

  /** The process of a host tells two others by chance what it knows, again and again, as the engine does. */
  gossip(host: H): void {
    const run = host.run;
    const round = () => {
      if (host.run !== run || host.process === undefined) return;
      const others = this.reachable(host);
      for (let i = 0; i < 2 && others.length > 0; i++) host.gossipTo(this.random.pick(others));
      this.clock.after(GOSSIP_MS, round);
    };
    this.clock.after(this.random.below(GOSSIP_MS), round);
  }

  /** Each host learns at some time who is there now; those who meet exchange all that they know. */
  rewire(): void {
    for (const host of this.hosts) {
      const run = host.run;
      this.clock.after(10 + this.random.below(this.meetMs), () => {
        if (host.process === undefined || host.run !== run) return;
        const others = this.reachable(host);
        host.meet(others);
        for (const other of this.#some(others)) host.gossipTo(other);
      });
    }
  }

  #some(others: readonly H[]): readonly H[] {
    if (others.length <= this.neighbours) return others;
    return Array.from({ length: this.neighbours }, () => this.random.pick(others));
  }

  /** Splits the network. */
  split(groupOf: (index: number) => number): void {
    this.hosts.forEach((host, index) => host.group = groupOf(index));
    this.rewire();
  }
}
