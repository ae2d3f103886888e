import assert from "node:assert/strict";
import type { Millis } from "../../../../mod/core/time.ts";
import { MtuSearch } from "../../../../mod/overlay/links/mtu_search.ts";
import { sleeveOverheads } from "../../../../mod/wire/mesh/sleeve.ts";
import { check, fc } from "../../properties.ts";

const at = (ms: number) => ms as Millis;
const OVERHEADS = sleeveOverheads({ sealed: false }); // 62 octets around an inner packet, 28 of them IP and UDP
const searching = (cautious = false) => new MtuSearch(OVERHEADS, { cautious });

/** Lets time pass until the search rests or `most` probes were sent; the path carries packets up to `carries`. */
function run(search: MtuSearch, probe: number, carries: number, most = 1_000): number[] {
  const probes: number[] = [];
  for (let now = 0; probe > 0 && probes.length < most;) {
    probes.push(probe);
    if (probe <= carries) probe = search.verified(probe, at(now));
    else {
      now = search.nextWake();
      probe = search.wake(at(now));
    }
  }
  return probes;
}

Deno.test("MtuSearch believes in the largest packets until the kernel refuses one", () => {
  const search = searching();
  assert.deepEqual([search.mtu, search.maxPayload, search.searching], [65_535, 65_507, false]);
  assert.equal(search.nextWake(), Infinity);
  for (
    const nothing of [
      search.recheck(at(1)),
      search.raise(at(1)),
      search.verified(1438, at(1)),
      search.wake(at(1)),
    ]
  ) {
    assert.equal(nothing, 0);
  }
});

Deno.test("MtuSearch takes the kernel's word, and proves it with one probe where the path carries it", () => {
  const search = searching();
  assert.equal(search.tooBig(1500, at(0)), 1438);
  assert.deepEqual([search.mtu, search.maxPayload, search.searching], [1438, 1472, true]);
  assert.equal(search.verified(1438, at(5)), 0);
  assert.deepEqual([search.mtu, search.maxPayload, search.searching], [1438, 1472, false]);
  assert.equal(search.nextWake(), Infinity);
});

Deno.test("MtuSearch asks eight times, each time with twice the patience, then halves the interval", () => {
  const search = searching();
  search.tooBig(1500, at(0));
  const times: number[] = [];
  let probe = 1438;
  while (probe === 1438) {
    times.push(search.nextWake());
    assert.equal(search.wake(at(search.nextWake() - 1)), 0, "not before its time");
    probe = search.wake(at(search.nextWake()));
  }
  assert.deepEqual(times, [10, 30, 70, 150, 310, 630, 1_270, 2_550]);
  assert.equal(probe, (552 + 1438) / 2);
});

Deno.test("MtuSearch finds what the path carries, whatever that is", () => {
  check(fc.property(fc.integer({ min: 552, max: 9_000 }), fc.boolean(), (carries, cautious) => {
    const search = searching(cautious);
    const first = search.tooBig(9_062, at(0));
    run(search, first, carries);
    assert.deepEqual([search.mtu, search.maxPayload, search.searching], [carries, carries + 34, false]);
  }));
});

Deno.test("MtuSearch stays at what the kernel said until the end, or falls to what is proven if it is cautious", () => {
  for (const [cautious, expected] of [[false, 1438], [true, 552]] as const) {
    const search = searching(cautious);
    const first = search.tooBig(1500, at(0));
    run(search, first, 600, 8 + 2); // the first size is silent, and the third probe of the second is on its way
    assert.equal(search.mtu, 1438);
    search.wake(at(search.nextWake()));
    assert.equal(search.mtu, expected);
  }
});

Deno.test("MtuSearch takes no notice of larger refusals, of packets too small for IP, and of other sizes", () => {
  const search = searching();
  search.tooBig(1500, at(0));
  assert.equal(search.tooBig(1500, at(1)), 0);
  assert.equal(search.tooBig(9_000, at(1)), 0);
  assert.equal(search.tooBig(62 + 67, at(1)), 0);
  assert.equal(search.verified(1437, at(1)), 0);
  assert.equal(search.mtu, 1438);
  assert.equal(search.tooBig(1400, at(2)), 1338, "a smaller one begins anew");
});

Deno.test("MtuSearch proves again what it has, and finds that the path has become smaller", () => {
  const search = searching();
  run(search, search.tooBig(1500, at(0)), 1438);
  const probe = search.recheck(at(10));
  assert.equal(probe, 1438);
  assert.equal(search.recheck(at(11)), 0, "one at a time");
  run(search, probe, 1000);
  assert.equal(search.mtu, 1000);
});

Deno.test("MtuSearch tries the largest size again, and changes nothing before that is proven", () => {
  for (const [carries, expected] of [[1000, 1000], [1438, 1438]] as const) {
    const search = searching();
    run(search, search.tooBig(1500, at(0)), 1000);
    const probe = search.raise(at(10));
    assert.deepEqual([probe, search.mtu], [1438, 1000]);
    assert.equal(run(search, probe, carries).length, expected === 1438 ? 1 : 8);
    assert.deepEqual([search.mtu, search.searching, search.nextWake()], [expected, false, Infinity]);
    run(search, search.tooBig(1400, at(1_000_000)), 700);
    assert.equal(search.mtu, 700, "searches go on as before");
  }
});

Deno.test("MtuSearch never probes with the size of a fragmentation test", () => {
  assert.equal(searching().tooBig(60_001 - 14 + 62, at(0)), 60_001 - 14 - 1);
});
