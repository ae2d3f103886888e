import assert from "node:assert/strict";
import type { Millis } from "../../../../mod/core/time.ts";
import { MtuSearch, SURELY_GOOD } from "../../../../mod/overlay/links/mtu_search.ts";
import { sleeveOverheads } from "../../../../mod/wire/mesh/sleeve.ts";
import { check, fc } from "../../properties.ts";

const at = (ms: number) => ms as Millis;
const OVERHEADS = sleeveOverheads({ sealed: false }); // 62 octets around an inner packet, 28 of them IP and UDP
const ETHERNET = { interfaceMtu: 1500, routeMtu: 1500 };
const alive = () => true;

/** A search on a path, and its clock. */
class Path {
  readonly search = new MtuSearch(OVERHEADS);
  now = 0;

  /** Sends probes until the search rests, or `most` of them; the path carries inner packets up to `carries`. */
  run(probe: number, carries: number, most = 1_000): number[] {
    const probes: number[] = [];
    while (probe > 0 && probes.length < most) {
      probes.push(probe);
      probe = probe <= carries ? this.search.verified(probe, at(this.now)) : this.silent();
    }
    return probes;
  }
  /** The present probe is not answered in time. */
  silent(): number {
    this.now = this.search.nextWake();
    return this.search.wake(at(this.now), alive);
  }
  /** A path that is known to carry packets of an Ethernet. */
  static proven(): Path {
    const path = new Path();
    path.run(path.search.refused(ETHERNET, at(0)), 1438);
    return path;
  }
}

Deno.test("MtuSearch believes in the largest packets until the interface refuses one", () => {
  const { search } = new Path();
  assert.deepEqual([search.mtu, search.maxPayload, search.searching], [65_535, 65_507, false]);
  assert.equal(search.nextWake(), Infinity);
  const nothing = [
    search.prove(1438, at(1)),
    search.raise(at(1)),
    search.verified(1438, at(1)),
    search.wake(at(1), alive),
  ];
  assert.deepEqual(nothing, [0, 0, 0, 0]);
});

Deno.test("MtuSearch takes the interface's word, and proves it with one probe where the path carries it", () => {
  const { search } = new Path();
  assert.equal(search.refused(ETHERNET, at(0)), 1438);
  assert.deepEqual([search.mtu, search.maxPayload, search.searching], [1438, 1472, true]);
  assert.equal(search.unsettled, false, "others may be told of it");
  assert.equal(search.verified(1438, at(5)), 0);
  assert.deepEqual([search.mtu, search.searching, search.nextWake()], [1438, false, Infinity]);
});

Deno.test("MtuSearch asks eight times, each time with twice the patience, before a size counts as lost", () => {
  const path = new Path();
  const { search } = path;
  path.run(search.refused(ETHERNET, at(0)), 0, 0);
  const times: number[] = [];
  let probe = 1438;
  for (; probe === 1438; probe = path.silent()) {
    times.push(search.nextWake());
    assert.equal(search.wake(at(search.nextWake() - 1), alive), 0, "not before its time");
    assert.equal(search.stalled, times.length === 4, "the kernel is asked once");
    assert.equal(search.lastAttempt, times.length === 8);
  }
  assert.deepEqual(times, [10, 30, 70, 150, 310, 630, 1_270, 2_550]);
  assert.equal(probe, (SURELY_GOOD + 1438) / 2);
  assert.deepEqual([search.mtu, search.unsettled], [SURELY_GOOD, true], "until a size below is proven");
});

Deno.test("MtuSearch finds what the path carries, whatever that is and whatever the kernel believes", () => {
  const size = fc.integer({ min: SURELY_GOOD, max: 8_938 });
  check(fc.property(size, fc.integer({ min: 500, max: 9_000 }), (carries, routeMtu) => {
    const path = new Path();
    path.run(path.search.refused({ interfaceMtu: 9_000, routeMtu }, at(0)), carries);
    assert.deepEqual([path.search.mtu, path.search.maxPayload], [carries, carries + 34]);
    assert.deepEqual([path.search.searching, path.search.unsettled], [false, false]);
  }));
});

Deno.test("MtuSearch looks first where the kernel believes", () => {
  const path = new Path();
  const probes = path.run(path.search.refused({ interfaceMtu: 1500, routeMtu: 1400 }, at(0)), 1338);
  assert.deepEqual([...new Set(probes)].slice(0, 3), [1438, 1338, 1339]);
  assert.equal(path.search.mtu, 1338);
});

Deno.test("MtuSearch asks sizes below six times each, and never uses one that is not proven", () => {
  const path = new Path();
  const probes = path.run(path.search.refused(ETHERNET, at(0)), 0, 8 + 6 + 1);
  assert.deepEqual([probes.filter((each) => each === 995).length, probes.at(-1)], [6, 773]);
  assert.equal(path.search.mtu, SURELY_GOOD);
});

Deno.test("MtuSearch learns nothing about large packets while small ones do not arrive either", () => {
  const path = new Path();
  path.run(path.search.refused(ETHERNET, at(0)), 0, 7);
  const asked: number[] = [];
  const dead = (since: Millis) => (asked.push(since), false);
  for (let i = 0; i < 3; i++) {
    path.now = path.search.nextWake();
    assert.equal(path.search.wake(at(path.now), dead), 1438);
  }
  assert.deepEqual([asked, path.search.mtu], [[0, 0, 0], 1438]);
});

Deno.test("MtuSearch takes no notice of refusals that say nothing new, and of other sizes than the one it asks about", () => {
  const { search } = new Path();
  search.refused(ETHERNET, at(0));
  assert.equal(search.refused(ETHERNET, at(1)), 0);
  assert.equal(search.refused({ interfaceMtu: 9_000, routeMtu: 9_000 }, at(1)), 0);
  assert.equal(search.refused({ interfaceMtu: 62 + 67, routeMtu: 1500 }, at(1)), 0, "too small for IP");
  assert.equal(search.verified(1437, at(1)), 0);
  assert.equal(search.mtu, 1438);
  assert.equal(search.refused({ interfaceMtu: 1400, routeMtu: 1400 }, at(2)), 1338, "a smaller interface");
  assert.equal(search.mtu, 1338);
});

Deno.test("MtuSearch proves again what it uses, and finds that the path has become smaller", () => {
  const path = Path.proven();
  const probe = path.search.prove(9_000, at(10));
  assert.equal(probe, 1438);
  assert.equal(path.search.prove(1438, at(11)), 0, "one at a time");
  path.run(probe, 1000);
  assert.equal(path.search.mtu, 1000);
});

Deno.test("MtuSearch tries the interface's size again, and changes nothing before that is proven", () => {
  for (const [carries, expected, probes] of [[1000, 1000, 8], [1438, 1438, 1]] as const) {
    const path = Path.proven();
    path.run(path.search.prove(1438, at(10)), 1000);
    const probe = path.search.raise(at(path.now));
    assert.deepEqual([probe, path.search.mtu, path.search.unsettled], [1438, 1000, false]);
    assert.equal(path.run(probe, carries).length, probes);
    assert.deepEqual([path.search.mtu, path.search.searching, path.search.nextWake()], [
      expected,
      false,
      Infinity,
    ]);
    assert.equal(path.search.raise(at(path.now)), carries === 1438 ? 0 : 1438);
  }
});

Deno.test("MtuSearch tries a larger interface's size as soon as that is known", () => {
  const path = Path.proven();
  assert.equal(path.search.refused({ interfaceMtu: 9_000, routeMtu: 9_000 }, at(20)), 8_938);
  assert.equal(path.search.mtu, 1438);
});

Deno.test("MtuSearch that is abandoned goes back to what the interface allows", () => {
  const path = new Path();
  path.run(path.search.refused(ETHERNET, at(0)), 0, 12);
  assert.equal(path.search.mtu, SURELY_GOOD);
  path.search.abandon();
  assert.deepEqual([path.search.mtu, path.search.searching, path.search.nextWake()], [1438, false, Infinity]);
});

Deno.test("MtuSearch never probes with the size of a fragmentation test", () => {
  const mtu = 60_001 - 14 + 62;
  assert.equal(new Path().search.refused({ interfaceMtu: mtu, routeMtu: mtu }, at(0)), 60_001 - 14 - 1);
});
