import assert from "node:assert/strict";
import {
  Choice,
  type ClientAddress,
  type PossibleClients,
  sortKey,
} from "../../../mod/dns/answers/choice.ts";
import { Dice } from "../../../mod/dns/answers/dice.ts";
import { SeededRandom } from "../../sim/random.ts";
import { check, fc, seededRandom } from "../properties.ts";
import { addressOf, entry, peer } from "./bench.ts";
import { chiSquare, glibc, type Resolver, sourceFor, turning, unsorted } from "./resolvers.ts";
import { client, ServerBench } from "./server_bench.ts";

const NAME = "web.weave.local";

/** A server whose name has these addresses, in balanced order unless it is another. */
function serverOf(
  addresses: readonly string[],
  seed: number,
  order: "balanced" | "random" = "balanced",
): ServerBench {
  const server = new ServerBench({ order, ttl: undefined, random: new SeededRandom(seed) });
  addresses.forEach((address, i) => server.bench.register(NAME, `c${i}`, address));
  return server;
}

/** Which targets a client reaches in many look-ups, and how many answers it gets on average. */
function reached(
  server: ServerBench,
  targets: readonly string[],
  { resolver, possible, lookups }: {
    resolver: Resolver;
    possible: PossibleClients;
    lookups: number;
  },
): { readonly counts: number[]; readonly kept: number } {
  const counts = new Map(targets.map((target) => [addressOf(target), 0]));
  let answered = 0;
  for (let turn = 0; turn < lookups; turn++) {
    const addresses = server.addresses(NAME, possible);
    assert.equal(new Set(addresses).size, addresses.length, "no target twice");
    answered += addresses.length;
    const first = resolver(addresses, turn);
    counts.set(first, counts.get(first)! + 1);
  }
  return { counts: [...counts.values()], kept: answered / lookups / targets.length };
}

function assertEven(counts: readonly number[], what: string): void {
  const { sum, bound } = chiSquare(counts);
  assert.ok(sum < bound, `${what}: ${counts.join(" ")}, chi-square ${sum.toFixed(1)} of ${bound.toFixed(1)}`);
}

const near = (count: number) => Array.from({ length: count }, (_, i) => `10.32.0.${i + 2}`);
const far = (count: number) =>
  Array.from({ length: count }, (_, i) => `10.${32 + i % 16}.${i * 7 % 256}.${i + 1}`);
const mixed = (
  count: number,
) => [...near(Math.ceil(count / 2)), ...far(Math.floor(count / 2)).map((each) => `${each}9`)];
const CLIENTS: readonly (readonly [string, readonly string[]])[] = [
  ["of the mesh alone", ["10.32.0.1/12"]],
  ["with the engine's network, too", ["172.17.0.2/16", "10.32.0.1/12"]],
  ["with two subnets of the mesh", ["10.32.0.1/24", "10.40.0.1/12"]],
  ["of another subnet", ["10.64.0.5/24"]],
  ["that is a target itself", ["10.32.0.2/12"]],
];

for (const [what, cidrs] of CLIENTS) {
  Deno.test(`balanced: a client ${what} spreads evenly, whether it sorts or not`, () => {
    for (const targets of [near, far, mixed].flatMap((make) => [3, 5, 20].map(make))) {
      const possible = [client(...cidrs)];
      const server = serverOf(targets, targets.length + cidrs.length);
      for (const [name, resolver] of [["glibc", glibc(possible[0]!)], ["others", unsorted]] as const) {
        const { counts, kept } = reached(server, targets, { resolver, possible, lookups: 2_000 });
        assertEven(counts, `${name}, ${targets.length} targets from ${targets[0]}`);
        assert.ok(kept > 0.5, `${kept} of the answers are kept`);
      }
    }
  });
}

Deno.test("balanced: what it mends is there, sorting clients use the nearest target alone", () => {
  const targets = far(5);
  const possible = [client("10.32.0.2/12")];
  const options = { resolver: glibc(possible[0]!), possible, lookups: 1_000 };
  assert.deepEqual(reached(serverOf(targets, 1, "random"), targets, options).counts, [1_000, 0, 0, 0, 0]);
  assertEven(reached(serverOf(targets, 1), targets, options).counts, "balanced");
});

Deno.test("balanced: about three quarters of the answers are kept for five targets in a /12", () => {
  const random = new SeededRandom(11);
  let sum = 0;
  for (let i = 0; i < 40; i++) {
    const address = () => `10.${32 + random.below(16)}.${random.below(256)}.${random.below(256)}`;
    const targets = Array.from({ length: 5 }, address);
    const possible = [client(`${address()}/12`)];
    sum += reached(serverOf(targets, i), targets, { resolver: unsorted, possible, lookups: 300 }).kept;
  }
  assert.ok(sum / 40 > 0.7 && sum / 40 < 0.85, `${sum / 40}`);
});

Deno.test("balanced: an unknown client spreads evenly whichever of its possible addresses it has", () => {
  const targets = mixed(6);
  const possible = [client("10.32.0.1/12"), client("10.33.7.2/12"), client("172.17.0.2/16", "10.40.0.9/12")];
  for (const actual of possible) {
    const { counts, kept } = reached(serverOf(targets, 3), targets, {
      resolver: glibc(actual),
      possible,
      lookups: 2_000,
    });
    assertEven(counts, JSON.stringify(actual));
    assert.ok(kept > 1 / targets.length, "some answers are kept");
  }
});

Deno.test("balanced: who may be anybody gets one target", () => {
  const targets = near(5);
  const { counts, kept } = reached(serverOf(targets, 5), targets, {
    resolver: unsorted,
    possible: [],
    lookups: 2_000,
  });
  assertEven(counts, "unknown");
  assert.equal(kept, 1 / 5);
  const crowd = Array.from({ length: 65 }, () => client("10.32.0.1/12"));
  assert.equal(serverOf(targets, 5).addresses(NAME, crowd).length, 1);
});

Deno.test("random: every target is first equally often, and clients that turn the list spread evenly, too", () => {
  const targets = far(7);
  for (const resolver of [unsorted, turning]) {
    const { counts, kept } = reached(serverOf(targets, 9, "random"), targets, {
      ...{ resolver, possible: [client("10.32.0.1/12")], lookups: 7_000 },
    });
    assertEven(counts, "random");
    assert.equal(kept, 1);
  }
});

Deno.test("balanced: two entries of one address are one target, a name with many targets spreads evenly", () => {
  const double = ["10.32.0.2", "10.32.0.2", "10.32.0.3"];
  const few = reached(serverOf(double, 2), double.slice(1), {
    ...{ resolver: unsorted, possible: [client("10.32.0.1/12")], lookups: 2_000 },
  });
  assertEven(few.counts, "one address twice");
  const many = far(200);
  const { counts } = reached(serverOf(many, 2), many, {
    ...{ resolver: glibc(client("10.32.0.1/12")), possible: [client("10.32.0.1/12")], lookups: 8_000 },
  });
  assertEven(counts, "more targets than fit");
});

Deno.test("nearest: our own targets first, then those about as near in turn, and the order survives sorting", () => {
  const rtts = new Map([[peer(2), 0.4], [peer(3), 0.9], [peer(4), 30]]);
  const server = new ServerBench({
    order: "nearest",
    random: seededRandom(),
    rttMs: (name) => rtts.get(name),
  });
  for (const n of [4, 5]) server.bench.known.add(peer(n));
  server.hear(
    ...[2, 3, 4, 5].map((n) =>
      entry({ hostname: `${NAME}.`, origin: peer(n), addr: addressOf(`10.32.${n}.1`) })
    ),
  );
  const unknown = client("10.40.0.1/12");
  const orders = new Set(
    Array.from(
      { length: 100 },
      () => server.addresses(NAME, [unknown]).map((addr) => addr >>> 8 & 255).join(" "),
    ),
  );
  assert.deepEqual([...orders].sort(), ["2 3 4 5", "3 2 4 5"], "unknown distances come last");
  server.bench.register(NAME, "c", "10.32.1.1");
  assert.equal(server.addresses(NAME, [unknown])[0], addressOf("10.32.1.1"));
  const sorting = client("10.32.5.9/12");
  for (let i = 0; i < 50; i++) {
    assert.equal(glibc(sorting)(server.addresses(NAME, [sorting]), 0), addressOf("10.32.1.1"));
  }
});

const addresses = fc.integer({ min: addressOf("10.32.0.0"), max: addressOf("10.32.255.255") });
const clients: fc.Arbitrary<ClientAddress[]> = fc.array(
  fc.record({ addr: addresses, prefix: fc.integer({ min: 8, max: 30 }) }),
  { minLength: 1, maxLength: 4 },
);

Deno.test("sortKey() is the key by which glibc sorts, with the source that the kernel takes", () => {
  check(
    fc.property(clients, fc.array(addresses, { minLength: 2, maxLength: 8 }), (addresses, targets) => {
      const sorted = targets.toSorted((a, b) => sortKey(addresses, b) - sortKey(addresses, a));
      assert.equal(glibc(addresses)(targets, 0), sorted[0]);
      const { addr } = sourceFor(addresses, targets[0]!);
      assert.ok([0, Math.clz32(addr ^ targets[0]!)].includes(sortKey(addresses, targets[0]!)));
    }),
    { runs: 500 },
  );
});

Deno.test("Choice: the drawn target is first after any sorting, no target comes twice, and `more` is true to its word", () => {
  const possible = fc.array(clients, { minLength: 1, maxLength: 5 });
  const targets = fc.uniqueArray(addresses, { minLength: 1, maxLength: 12 });
  check(
    fc.property(
      targets,
      possible,
      fc.integer({ min: 0, max: 14 }),
      fc.nat(),
      (list, possible, room, seed) => {
        const choice = new Choice();
        const dice = new Dice(new SeededRandom(seed));
        const entries = list.map((addr) => entry({ addr }));
        choice.balanced(entries, room, { possible, dice, rank: () => 0 });
        assert.deepEqual(entries.map(({ addr }) => addr).sort(), list.toSorted(), "reordered, nothing else");
        const chosen = choice.chosen.slice(0, choice.count).map(({ addr }) => addr);
        assert.ok(chosen.length <= room && new Set(chosen).size === chosen.length);
        if (room === 0) return assert.ok(choice.more);
        for (const client of possible) assert.equal(glibc(client)(chosen, 0), chosen[0]);
        const first = chosen[0]!;
        const kept = list.filter((addr) =>
          possible.every((each) => sortKey(each, addr) <= sortKey(each, first))
        );
        assert.equal(chosen.length, Math.min(room, kept.length));
        assert.equal(choice.more, kept.length > room);
      },
    ),
    { runs: 300 },
  );
});

Deno.test("Dice: even, and the same from the same beginning", () => {
  const dice = new Dice(seededRandom(5));
  const counts = Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[dice.below(10)]!++;
  assertEven(counts, "dice");
  const [x, y] = [new Dice(seededRandom(6)), new Dice(seededRandom(6))];
  for (let i = 0; i < 100; i++) assert.equal(x.below(1_000), y.below(1_000));
});
