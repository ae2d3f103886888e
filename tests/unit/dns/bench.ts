/** One directory with its channel on a bench, and what it says. */
import assert from "node:assert/strict";
import { type PeerName, peerNameFromNumber } from "../../../mod/core/names.ts";
import type { GossipData } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { type ChannelEffect, DnsChannel } from "../../../mod/dns/records/channel.ts";
import { Directory } from "../../../mod/dns/records/directory.ts";
import type {
  DirectoryEvent,
  DirectoryOutcome,
  EntryData,
} from "../../../mod/dns/records/directory_types.ts";
import type { EntryWatcher } from "../../../mod/dns/records/entry_store.ts";
import { decodeDnsGossip, type DnsEntry, encodeDnsGossip } from "../../../mod/wire/dns/dns_gossip.ts";
import { RECORD_TYPE } from "../../../mod/wire/dns/dns_types.ts";

/** The peer of a number. */
export function peer(n: number): PeerName {
  return peerNameFromNumber(n)!;
}

/** An address as a number. */
export function addressOf(text: string): number {
  return text.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
}

/** The data of an A record. */
export function a(text: string): EntryData {
  return { type: RECORD_TYPE.A, addr: addressOf(text), rdata: "" };
}

/** An entry with what a test does not care about filled in. */
export function entry(change: Partial<DnsEntry> = {}): DnsEntry {
  return {
    ...{ container: "c1", origin: peer(2), hostname: "foo.weave.local.", ...a("10.32.0.1") },
    ...{ version: 0, tombstone: 0, unhealthy: false, ...change },
  };
}

/** The entries of the payloads of some gossip. */
export function entriesIn(data: GossipData | undefined, to?: PeerName): DnsEntry[] {
  return [...data?.encode(to) ?? []].flatMap((payload) => {
    const gossip = decodeDnsGossip(payload);
    assert.ok(gossip.ok);
    return [...gossip.value.entries];
  });
}

/** A directory of peer 1 in `weave.local.`, driven by hand. */
export class Bench {
  now = 1_000;
  wall = 1_700_000_000;
  /** Peers that the mesh knows. */
  readonly known = new Set([1, 2, 3].map(peer));
  /** Peers that compare digests. */
  readonly comparing = new Set<PeerName>();
  effects: ChannelEffect[] = [];
  readonly directory: Directory;
  readonly channel: DnsChannel;
  #id = 0;

  constructor(watch: EntryWatcher = () => {}) {
    this.directory = new Directory({
      ...{ self: peer(1), domain: "weave.local.", now: this.now as Millis },
      knows: (name) => this.known.has(name),
      wallSeconds: () => Math.floor(this.wall),
    }, watch);
    this.channel = new DnsChannel(this.directory, {
      compares: (name) => this.comparing.has(name),
      perform: (effect) => void this.effects.push(effect),
    });
  }

  /** What was broadcast in the last step. */
  get told(): DnsEntry[] {
    return this.effects.flatMap((effect) => effect.kind === "broadcast" ? entriesIn(effect.data) : []);
  }

  feed(event: DirectoryEvent): readonly ChannelEffect[] {
    this.effects = [];
    assert.ok(this.channel.feed(event, this.now as Millis).ok);
    return this.effects;
  }

  register(hostname: string, container: string, data: string | EntryData): DirectoryOutcome {
    const id = this.#id++;
    this.feed({
      ...{ kind: "register", id, hostname, container, data: typeof data === "string" ? a(data) : data },
    });
    return this.#outcome(id);
  }

  remove(what: { hostname?: string; container?: string; addr?: number }): DirectoryOutcome {
    const id = this.#id++;
    this.feed({ kind: "remove", id, ...what });
    return this.#outcome(id);
  }

  #outcome(id: number): DirectoryOutcome {
    const found = this.effects.find((effect) => effect.kind === "outcome" && effect.id === id);
    assert.ok(found?.kind === "outcome");
    return found.outcome;
  }

  /** Gossip with these entries; what is passed on, or why it was refused. */
  hear(
    entries: readonly DnsEntry[],
    options: { broadcast?: boolean; timestamp?: number } = {},
  ): DnsEntry[] | string {
    const { broadcast = true, timestamp = Math.floor(this.wall) } = options;
    return this.take(encodeDnsGossip({ timestamp, entries, digests: [] }), broadcast);
  }

  /** The same with a payload. */
  take(payload: Uint8Array, broadcast = true): DnsEntry[] | string {
    this.effects = [];
    const now = this.now as Millis;
    const taken = broadcast
      ? this.channel.onBroadcast(peer(2), payload, now)
      : this.channel.onGossip(payload, now, peer(2));
    return taken.ok ? entriesIn(taken.value) : taken.reason;
  }

  /** Lets time pass, with all wakes. */
  pass(seconds: number): void {
    const [end, wallEnd] = [this.now + seconds * 1_000, this.wall + seconds];
    for (let at = this.directory.nextWake(); at <= end; at = this.directory.nextWake()) {
      const next = Math.max(this.now, at);
      this.wall += (next - this.now) / 1_000;
      this.now = next;
      this.channel.feed({ kind: "wake" }, this.now as Millis);
    }
    [this.now, this.wall] = [end, wallEnd];
  }

  /** All entries, in the order of the wire. */
  get all(): DnsEntry[] {
    return entriesIn(this.channel.fullState());
  }
}
