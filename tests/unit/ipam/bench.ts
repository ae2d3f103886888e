/** One allocator on a bench, and what it says. */
import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import { type PeerName, peerNameFromNumber } from "../../../mod/core/names.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Allocator } from "../../../mod/ipam/allocator.ts";
import type {
  AllocatorEffect,
  AllocatorEvent,
  Init,
  Outcome,
  Patience,
} from "../../../mod/ipam/allocator_types.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import { decodeIpamMessage } from "../../../mod/wire/ipam/ipam_message.ts";
import type { IpamMessage, IpamRing, IpamState } from "../../../mod/wire/ipam/ipam_types.ts";
import { seededRandom } from "../properties.ts";

/** Waits for ever. */
export const PATIENT: Patience = { until: Infinity, noWait: false };
/** Takes what is there. */
export const HASTY: Patience = { until: Infinity, noWait: true };

/** The peer of a number. */
export function peer(n: number): PeerName {
  return peerNameFromNumber(n)!;
}

/** An allocator of peer 1, driven by hand. */
export class Bench {
  readonly universe: Universe;
  readonly allocator: Allocator;
  now = 1_000;
  #id = 0;
  effects: readonly AllocatorEffect[] = [];
  /** What was stored, as a later run finds it. */
  readonly disk: Map<string, string>;
  readonly outcomes = new Map<number, Outcome>();

  constructor(
    options: { range?: string; init?: Init; disk?: Map<string, string>; seed?: number; self?: PeerName } = {},
  ) {
    const { range = "10.32.0.0/22", init = { kind: "seed", peers: [peer(1), peer(2)] }, seed = 7 } = options;
    const made = Universe.of(parseCidr(range)!);
    assert.ok(made.ok);
    this.universe = made.value;
    this.disk = options.disk ?? new Map();
    this.allocator = new Allocator({
      ...{ universe: made.value, self: options.self ?? peer(1), uid: BigInt(seed), nickname: "host1", init },
      ...{ stored: new Map(this.disk), random: seededRandom(seed), wallSeconds: () => 1_700_000_000 },
    });
    this.feed({ kind: "start" });
  }

  feed(event: AllocatorEvent): readonly AllocatorEffect[] {
    this.effects = this.allocator.step(event, this.now as Millis);
    for (const effect of this.effects) {
      if (effect.kind === "answer") this.outcomes.set(effect.id, effect.outcome);
      if (effect.kind !== "store") continue;
      if (effect.value === undefined) this.disk.delete(effect.key);
      else this.disk.set(effect.key, effect.value);
    }
    return this.effects;
  }

  /** Lets time pass, with all wakes. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let at = this.allocator.nextWake(); at <= end; at = this.allocator.nextWake()) {
      assert.ok(at >= this.now || this.allocator.nextWake() <= this.now, "time does not go back");
      this.now = Math.max(this.now, at);
      this.feed({ kind: "wake" });
    }
    this.now = end;
  }

  /** The mesh reaches these peers. */
  reach(...numbers: readonly number[]): void {
    this.feed({ kind: "mesh", peers: numbers.map(peer), expected: numbers.length + 1 });
  }

  allocate(ident: string, subnet = "10.32.0.0/22", patience = PATIENT): Outcome | undefined {
    const id = this.#id++;
    this.feed({ kind: "allocate", id, ident, subnet: parseCidr(subnet)!, isContainer: false, patience });
    return this.outcomes.get(id);
  }

  claim(ident: string, cidr: string, lenient = false, isContainer = false): Outcome | undefined {
    const id = this.#id++;
    this.feed({ kind: "claim", id, ident, cidr: parseCidr(cidr)!, isContainer, lenient, patience: PATIENT });
    return this.outcomes.get(id);
  }

  release(ident: string, ip?: string): Outcome | undefined {
    const id = this.#id++;
    this.feed({ kind: "release", id, ident, ip: ip === undefined ? undefined : parseCidr(`${ip}/32`)!.ip });
    return this.outcomes.get(id);
  }

  remove(numbers: readonly number[], patience = PATIENT): Outcome | undefined {
    const id = this.#id++;
    this.feed({ kind: "remove", id, peers: numbers.map(peer), patience });
    return this.outcomes.get(id);
  }

  get lastId(): number {
    return this.#id - 1;
  }

  /** Messages of the last step. */
  sent(): { readonly to: PeerName; readonly message: IpamMessage }[] {
    return this.effects.flatMap((effect) => {
      if (effect.kind !== "unicast") return [];
      const decoded = decodeIpamMessage(effect.payload);
      assert.ok(decoded.ok && decoded.value !== undefined);
      return [{ to: effect.to, message: decoded.value }];
    });
  }

  /** Why the last event was refused. */
  refused(): string | undefined {
    return this.effects.flatMap((effect) => effect.kind === "refuse" ? [effect.reason] : [])[0];
  }

  ring(): IpamRing {
    const { ring } = this.allocator.state();
    assert.ok(ring);
    return ring;
  }

  state(change: Partial<IpamState>, source: number | null = 2): void {
    const state = {
      now: 0,
      nicknames: new Map(),
      paxos: undefined,
      ring: undefined,
      members: undefined,
      ...change,
    };
    this.feed({ kind: "state", state, source: source === null ? undefined : peer(source) });
  }
}

/** The address of an outcome, or why there is none. */
export function told(outcome: Outcome | undefined): string | undefined {
  switch (outcome?.kind) {
    case "address":
      return `${outcome.cidr.ip}/${outcome.cidr.prefix}`;
    case "refused":
      return outcome.message;
    case "released":
      return outcome.cidrs.map(({ ip }) => ip).join(" ");
    case "removed":
      return `${outcome.taken} taken`;
    default:
      return outcome?.kind;
  }
}
