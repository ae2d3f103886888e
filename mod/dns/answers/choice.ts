/**
 * Which of a name's targets are answered, and in which order.
 *
 * Many clients sort what they are answered: glibc by the longest prefix that a target shares with the address that the
 * client itself would use (RFC 6724, rule 9), however well we have shuffled. So a balanced answer draws one target, and
 * keeps of the others those that do not sort before it at this client. The drawn one stays first, sorted or not.
 */
import type { PeerName } from "../../core/names.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import type { Dice } from "./dice.ts";

/** An address that a client has. */
export interface ClientAddress {
  /** The address as a 32-bit integer. */
  readonly addr: number;
  /** The length of its subnet's prefix. */
  readonly prefix: number;
}

/** The addresses that a client may have: one list if it is known, and each of several if it may be any of these. */
export type PossibleClients = readonly (readonly ClientAddress[])[];

/** Among more clients than this, or none, nobody knows how the one that asks sorts: it gets one target. */
export const MAX_POSSIBLE = 64;

/** What a choice depends on besides the targets. */
export interface ChoiceOptions {
  /** Who asks. */
  readonly possible: PossibleClients;
  /** Draws. */
  readonly dice: Dice;
  /** How far a target is: its rank, lower ones first. Only `nearest` asks. */
  readonly rank: (origin: PeerName) => number;
}

/**
 * By what glibc sorts a target, higher ones first: the length of the common prefix, if the target is in the subnet of the
 * address that the client uses towards it, else 0. That address is the one in the longest subnet with the target.
 */
export function sortKey(client: readonly ClientAddress[], target: number): number {
  let longest = -1;
  let key = 0;
  for (let i = 0; i < client.length; i++) {
    const { addr, prefix } = client[i]!;
    const common = Math.clz32(addr ^ target);
    if (common < prefix || prefix <= longest) continue;
    longest = prefix;
    key = common;
  }
  return key;
}

/** Up to `room` of the targets, of which there is one at least; and whether there are more for this client. */
export class Choice {
  /** Valid up to `count`, until the next choice. */
  readonly chosen: DnsEntry[] = [];
  count = 0;
  more = false;
  readonly #keys: number[] = [];

  /** All, in an order that each time is another. Reorders `targets`. */
  random(targets: DnsEntry[], room: number, dice: Dice): void {
    this.count = Math.min(room, targets.length);
    this.more = room < targets.length;
    for (let i = 0; i < this.count; i++) this.chosen[i] = drawn(targets, i, dice);
  }

  /** One that stays first at the client, each as often as any other; and others behind it. Reorders `targets`. */
  balanced(targets: DnsEntry[], room: number, { dice, possible }: ChoiceOptions): void {
    this.#first(drawn(targets, 0, dice), targets.length, room, possible);
    for (let i = 1; i < targets.length && this.#isOpen; i++) {
      this.#offer(drawn(targets, i, dice), room, possible);
    }
  }

  /** One of the nearest, and others by their distance, as far as they do not sort before it at the client. */
  nearest(targets: DnsEntry[], room: number, { dice, possible, rank }: ChoiceOptions): void {
    const ranked = targets.map((_, i) => drawn(targets, i, dice)).map((entry) => ({
      ...{ entry, rank: rank(entry.origin) },
    })).sort((a, b) => a.rank - b.rank); // stable: what is equally far stays shuffled
    this.#first(ranked[0]!.entry, targets.length, room, possible);
    for (let i = 1; i < ranked.length && this.#isOpen; i++) this.#offer(ranked[i]!.entry, room, possible);
  }

  #isOpen = false;

  #first(target: DnsEntry, targets: number, room: number, possible: PossibleClients): void {
    this.chosen[0] = target;
    this.count = Math.min(1, room);
    this.more = room === 0;
    this.#isOpen = room > 0 && targets > 1 && possible.length > 0 && possible.length <= MAX_POSSIBLE;
    if (this.#isOpen) {
      for (let i = 0; i < possible.length; i++) this.#keys[i] = sortKey(possible[i]!, target.addr);
    }
  }

  #offer(target: DnsEntry, room: number, possible: PossibleClients): void {
    for (let i = 0; i < possible.length; i++) {
      if (sortKey(possible[i]!, target.addr) > this.#keys[i]!) return;
    }
    if (this.count < room) this.chosen[this.count++] = target;
    else {
      this.more = true;
      this.#isOpen = false;
    }
  }
}

/** The target at `i`, after one that is drawn from there on was put into its place. */
function drawn(targets: DnsEntry[], i: number, dice: Dice): DnsEntry {
  const j = i + dice.below(targets.length - i);
  const target = targets[j]!;
  targets[j] = targets[i]!;
  targets[i] = target;
  return target;
}
