import assert from "node:assert/strict";
import { fromHex } from "../../../mod/core/bytes.ts";
import { type DnsEntry, encodeDnsGossip } from "../../../mod/wire/dns/dns_gossip.ts";
import { RECORD_TYPE } from "../../../mod/wire/dns/dns_types.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { fuzz } from "../fuzz.ts";
import { loadVectors } from "../vectors.ts";
import { a, addressOf, Bench, entry, peer } from "./bench.ts";

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly meaning: {
    readonly entries: readonly {
      readonly hostname: string;
      readonly containerID: string;
      readonly addr: string;
      readonly version: number;
      readonly tombstone: number;
    }[];
  };
}
const vectors = new Map(
  loadVectors<{ vectors: Vector[] }>("dns-gossip").vectors.map((vector) => [vector.name, vector]),
);
const meant = (name: string): DnsEntry[] =>
  vectors.get(name)!.meaning.entries.map(({ hostname, containerID, addr, version, tombstone }) =>
    entry({ origin: peer(1), hostname, container: containerID, ...a(addr), version, tombstone })
  );
const bytes = (name: string) => fromHex(vectors.get(name)!.hex);
const FOO = ["foo.weave.local", "aaaaaaaaaaaabbbb", "10.32.0.1"] as const;

Deno.test("Directory deletes what others bring back of it, also what did not answer", () => {
  const bench = new Bench();
  bench.hear([entry({ origin: peer(1), version: 3, tombstone: bench.wall - 5, unhealthy: true })]);
  assert.deepEqual(bench.told.map(({ version, unhealthy }) => [version, unhealthy]), [[4, false]]);
});

Deno.test("Directory: what happens to names is told as the original tells it", () => {
  const bench = new Bench();
  assert.deepEqual(bench.register(...FOO), { kind: "done", changed: 1 });
  assert.deepEqual(bench.told, meant("add-one"));
  bench.register("Bar.Weave.Local", "cccc", "10.32.0.2");
  bench.register("bar.weave.local.", "cccc", "10.32.0.2");
  assert.deepEqual(bench.all, meant("full"));
  bench.feed({ kind: "gone", container: "cccc" });
  assert.deepEqual(bench.told, meant("tombstones"));
  bench.register("bar.weave.local.", "cccc", "10.32.0.2");
  assert.deepEqual(bench.told, meant("resurrect"));
  assert.deepEqual(bench.register(...FOO), { kind: "done", changed: 0 });
  assert.deepEqual(bench.told, meant("add-one"), "told again although it is as before");
});

for (const broadcast of [true, false]) {
  const how = broadcast ? "a broadcast" : "periodic gossip";
  Deno.test(`Directory: an entry of ours that we do not have is deleted, by ${how}`, () => {
    const bench = new Bench();
    assert.deepEqual(bench.take(bytes("stale-own-entry-in"), broadcast), meant("stale-own-entry-delta"));
    assert.deepEqual(bench.told, meant("stale-own-entry-out"));
  });
  Deno.test(`Directory: an entry of ours that others have newer is outdone, by ${how}`, () => {
    const bench = new Bench();
    bench.register(...FOO);
    bench.take(bytes("newer-own-entry-in"), broadcast);
    assert.deepEqual(bench.told, meant("newer-own-entry-out"));
    bench.take(bytes("newer-own-entry-in"), broadcast);
    assert.deepEqual(bench.told, [], "an old one is no news");
  });
}

Deno.test("Directory: clocks that differ by 901 s are refused, by 900 s not", () => {
  const bench = new Bench();
  assert.equal(bench.take(bytes("clock-skew")), "host clock skew of 901s exceeds 900s limit");
  bench.wall++;
  assert.deepEqual(bench.take(bytes("clock-skew")), []);
  bench.wall += 1_801;
  assert.equal(bench.take(bytes("clock-skew")), "host clock skew of -901s exceeds 900s limit");
});

Deno.test("Directory: a relay filters unknown origins, and sends on what it has already", () => {
  const bench = new Bench();
  const [known, stranger] = [entry(), entry({ origin: peer(9) })];
  assert.deepEqual(bench.hear([known, stranger]), [known]);
  assert.equal(bench.directory.refused, 1);
  assert.deepEqual(bench.hear([known]), [known]);
  assert.deepEqual(bench.hear([known], { broadcast: false }), [], "gossip that is no news is not passed on");
  bench.known.add(peer(9));
  assert.deepEqual(bench.hear([known, stranger], { broadcast: false }), [stranger]);
});

Deno.test("Directory: peers that leave take their names with them, silently", () => {
  const bench = new Bench();
  bench.register(...FOO);
  bench.hear([entry(), entry({ origin: peer(3) })]);
  bench.channel.onPeersRemoved([peer(2)]);
  assert.deepEqual(bench.all.map(({ origin }) => origin).sort(), [peer(1), peer(3)]);
  bench.channel.onPeersRemoved([peer(1)]);
  assert.equal(bench.all.length, 2, "we do not leave ourselves");
});

Deno.test("Directory: deletion takes the spelling that was given, and only what is ours", () => {
  const bench = new Bench();
  bench.register("Bar.weave.local", "c", "10.32.0.2");
  bench.register("bar.weave.local", "c", "10.32.0.2");
  bench.register("bar.weave.local", "c", "10.32.0.3");
  bench.hear([entry({ hostname: "bar.weave.local.", container: "c" })]);
  assert.deepEqual(bench.remove({ hostname: "bar.weave.local", addr: addressOf("10.32.0.3") }), {
    ...{ kind: "done", changed: 1 },
  });
  assert.deepEqual(bench.remove({ hostname: "bar.weave.local." }), { kind: "done", changed: 1 });
  assert.deepEqual(bench.remove({ hostname: "bar.weave.local." }), { kind: "done", changed: 0 });
  assert.deepEqual(
    bench.effects.map(({ kind }) => kind),
    ["outcome"],
    "nothing is told when nothing changed",
  );
  const live = bench.all.filter(({ tombstone }) => tombstone === 0);
  assert.deepEqual(live.map(({ hostname, origin }) => [hostname, origin]), [
    ["Bar.weave.local.", peer(1)],
    ["bar.weave.local.", peer(2)],
  ]);
});

Deno.test("Directory: names that are none are refused, names of others ignored", () => {
  const bench = new Bench();
  const refused = bench.register("a..weave.local", "c", "10.32.0.2");
  assert.ok(refused.kind === "refused" && refused.code === "bad-name");
  assert.deepEqual(bench.register("foo.example.com", "c", "10.32.0.2"), {
    ...{ kind: "ignored", message: "foo.example.com. is not below weave.local." },
  });
  assert.equal(bench.register("xweave.local", "c", "10.32.0.2").kind, "ignored");
  assert.equal(bench.register("WEAVE.local", "c", "10.32.0.2").kind, "done");
  assert.equal(bench.all.length, 1);
});

Deno.test("Directory: tombstones live for 30 to 60 minutes and go on all hosts at the same time", () => {
  for (const offset of [0, 600, 1_799]) {
    const bench = new Bench();
    bench.wall = 1_700_000_000 - 1_700_000_000 % 1_800 + offset;
    bench.register(...FOO);
    bench.remove({});
    bench.pass(1_800);
    assert.equal(bench.all.length, 1);
    const late = bench.all[0]!;
    bench.pass(1_801);
    assert.equal(bench.all.length, 0, `deleted ${offset} s after the border`);
    assert.deepEqual(bench.hear([{ ...late, origin: peer(2) }]), [], "it does not come back from others");
    assert.equal(bench.all.length, 0);
    assert.equal(bench.directory.nextWake(), Infinity);
  }
});

Deno.test("Directory: a deletion in the future would never expire, and is not believed", () => {
  const bench = new Bench();
  assert.deepEqual(bench.hear([entry({ version: 5, tombstone: bench.wall + 901 })]), []);
  assert.equal(bench.directory.refused, 1);
});

Deno.test("Directory: a target that does not answer is deleted for others and marked for us, and returns", () => {
  const bench = new Bench();
  bench.register(...FOO);
  const [, container] = FOO;
  bench.feed({ kind: "health", container, healthy: false });
  const [marked] = bench.told;
  assert.deepEqual(marked, { ...meant("add-one")[0]!, version: 1, tombstone: bench.wall, unhealthy: true });
  assert.deepEqual(bench.feed({ kind: "health", container, healthy: false }), [], "no news");
  bench.register("foo2.weave.local", container, "10.32.0.1");
  assert.equal(bench.told[0]!.unhealthy, true, "a new name of it is marked from the start");
  bench.feed({ kind: "health", container, healthy: true });
  assert.deepEqual(bench.told.map(({ tombstone, unhealthy }) => [tombstone, unhealthy]), [
    [0, false],
    [0, false],
  ]);
  bench.feed({ kind: "health", container, addr: addressOf("10.32.0.9"), healthy: false });
  assert.deepEqual(bench.told, [], "another address of it");
});

Deno.test("Directory: the mark of a target that does not answer outlives tombstones, its removal does not", () => {
  const bench = new Bench();
  bench.register(...FOO);
  bench.feed({ kind: "health", container: FOO[1], healthy: false });
  bench.pass(4 * 3_600);
  assert.equal(bench.all[0]!.unhealthy, true);
  bench.feed({ kind: "gone", container: FOO[1] });
  assert.equal(bench.told[0]!.unhealthy, false);
  bench.pass(3_601);
  assert.equal(bench.all.length, 0);
  bench.register(...FOO);
  assert.equal(bench.told[0]!.tombstone, 0, "its health went with it");
});

Deno.test("Directory: two hosts under one name outdo each other slowly", () => {
  const bench = new Bench();
  bench.register(...FOO);
  let messages = 0;
  for (let version = 1; version < 2_000; version += 2) {
    bench.hear([{ ...meant("add-one")[0]!, version: version + 10_000, tombstone: 1 }]);
    bench.pass(0.01);
    messages += bench.effects.length;
  }
  assert.ok(messages <= 42, `${messages} messages in ten seconds`);
  bench.pass(1);
  assert.deepEqual(bench.told.at(-1), { ...meant("add-one")[0]!, version: 12_000 }, "the last word is ours");
});

Deno.test("DnsChannel refuses bytes that are no gossip, and takes nothing of them", () => {
  const bench = new Bench();
  assert.match(bench.take(Uint8Array.of(1, 2, 3)) as string, /^gossip of names is unreadable: /);
  assert.equal(bench.all.length, 0);
});

Deno.test("DnsChannel returns, whatever neighbours send", () => {
  const bench = new Bench();
  bench.register(...FOO);
  const samples = [...vectors.keys()].map(bytes);
  const digests = [peer(0), peer(2), peer(3)].map((origin) => ({ origin, sum: 7 }));
  for (const count of [1, 2, 3]) {
    samples.push(encodeDnsGossip({
      ...{
        timestamp: bench.wall,
        digests: digests.slice(0, count),
        entries: [entry(), entry({ origin: peer(1) })],
      },
    }));
  }
  let at = bench.now;
  fuzz(
    (payload) => {
      const now = (at += 5_000) as Millis;
      bench.effects = [];
      bench.channel.onUnicast(peer(3), payload, now);
      bench.channel.onBroadcast(peer(2), payload, now);
      return bench.channel.onGossip(payload, now, peer(2));
    },
    samples,
    { mutations: 60, truncations: 60 },
  );
});

Deno.test("DnsChannel: neighbours that compare end with the same, in three replies", () => {
  const [one, two] = [new Bench(), new Bench()];
  for (const n of [2, 3, 4, 5]) for (const each of [one, two]) each.known.add(peer(n));
  one.hear([entry(), entry({ origin: peer(4) }), entry({ origin: peer(5) })]);
  two.hear([
    entry(),
    entry({ origin: peer(3) }),
    entry({ origin: peer(5), version: 2, tombstone: two.wall }),
  ]);
  one.comparing.add(peer(2));
  let messages = 0;
  const transmit = (payload: Uint8Array, to: Bench, other: Bench, source: number): void => {
    messages++;
    to.effects = [];
    const now = to.now as Millis;
    const taken = messages === 1
      ? to.channel.onGossip(payload, now, peer(source))
      : to.channel.onUnicast(peer(source), payload, now);
    assert.ok(taken.ok);
    for (const effect of to.effects) {
      if (effect.kind === "unicast") transmit(effect.payload, other, to, 5 - source);
    }
  };
  for (const payload of one.channel.fullState().encode(peer(2))) transmit(payload, two, one, 3);
  assert.equal(messages, 4, "the first one and three replies");
  assert.deepEqual(one.all, two.all);
  assert.equal(one.all.length, 4);
});

Deno.test("DnsChannel: two neighbours that have the same and both know so tell each other seldom, until one has more", () => {
  const [one, two] = [new Bench(), new Bench()];
  for (const each of [one, two]) {
    each.comparing.add(peer(2));
    each.hear([entry()]);
  }
  /** A round of gossip from one to the other; how many messages that were. */
  const round = (from: Bench, to: Bench): number => {
    const payloads = [...from.channel.fullState().encode(peer(2))];
    for (const payload of payloads) to.take(payload, false);
    return payloads.length;
  };
  assert.equal(round(one, two), 1);
  assert.equal(round(one, two), 1, "the other one has not said so");
  assert.equal(round(two, one), 1);
  const rounds = Array.from({ length: 42 }, () => [round(one, two), round(two, one)]);
  assert.deepEqual(rounds.map(([from]) => from).reduce((sum, n) => sum! + n!), 2);
  one.hear([entry({ version: 1 })]);
  assert.equal(round(one, two), 1);
  one.channel.onNeighbour(peer(2), one.now as Millis);
  two.hear([entry({ version: 1 })]);
  assert.equal(round(one, two), 1, "another process of it knows nothing");
});

Deno.test("DnsChannel sends what is current when a message's turn comes, and merges what waits", () => {
  const bench = new Bench();
  const datas = ["10.32.0.1", "10.32.0.2"].map((address) => {
    bench.register("foo.weave.local", "c", address);
    const [effect] = bench.effects;
    assert.ok(effect?.kind === "broadcast");
    return effect.data;
  });
  bench.remove({ addr: addressOf("10.32.0.1") });
  const merged = datas[0]!.merge(datas[1]!);
  const payloads = [...merged.encode()];
  assert.equal(payloads.length, 1);
  assert.deepEqual(payloads[0], encodeDnsGossip({ timestamp: bench.wall, entries: bench.all, digests: [] }));
  assert.equal(merged.merge(bench.channel.fullState()), bench.channel.fullState());
});

Deno.test("DnsChannel sends a neighbour that compares one sum, and others everything in pieces", () => {
  const bench = new Bench();
  for (let i = 0; i < 1_100; i++) {
    bench.register(`n${i}.weave.local`, "c", { type: RECORD_TYPE.A, addr: i, rdata: "" });
  }
  bench.comparing.add(peer(2));
  const full = bench.channel.fullState();
  const [total, ...more] = [...full.encode(peer(2))];
  assert.ok(total!.length < 500 && more.length === 0, `${total!.length} octets`);
  assert.deepEqual([...full.encode(peer(3))].length, 3);
});
