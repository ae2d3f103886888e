import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { HUNG, RENEW_INTERVAL } from "../../../../mod/mesh/dialing/renewal.ts";
import {
  ABSENT_CAP,
  GOOD_LIFE,
  LOSS_CAP,
  RENEW_SPREAD,
  RETRY_CAP,
} from "../../../../mod/mesh/dialing/retry.ts";
import { Bench, peer } from "./bench.ts";

const HOST = "192.0.2.1";
const ADDRESS = `${HOST}:6783`;

/** A target that has failed until its wait was the longest. */
function worn(): Bench {
  const bench = new Bench({ discovery: false });
  bench.connect(HOST);
  for (let i = 0; i < 25; i++) bench.ended(bench.dial(ADDRESS));
  assert.ok(bench.view(HOST)!.retryAt! - bench.now >= RETRY_CAP / 2);
  return bench;
}

Deno.test("Connector soon finds a host that was away for hours, as that may know nobody to dial", () => {
  const bench = worn();
  bench.ended(bench.dial(ADDRESS), { absent: true });
  const wait = () => bench.view(HOST)!.retryAt! - bench.now;
  assert.ok(wait() <= ABSENT_CAP * 1.5, `${wait()}`);
  for (let i = 0; i < 25; i++) bench.ended(bench.dial(ADDRESS), { absent: true });
  assert.ok(wait() >= ABSENT_CAP / 2 && wait() <= ABSENT_CAP * 1.5, `${wait()}`);
});

Deno.test("Connector comes back within seconds from a link that flaps, however often it does", () => {
  const bench = new Bench({ discovery: false });
  bench.connect(HOST);
  for (let flap = 0; flap < 200; flap++) {
    bench.ended(bench.dial(ADDRESS));
    bench.connector.connected(bench.dial(ADDRESS), peer(2), bench.time);
    bench.now += 2_000;
    const attempt = bench.last!;
    bench.ended(attempt, { peer: peer(2), used: true });
    const wait = bench.view(HOST)!.retryAt! - bench.now;
    assert.ok(wait <= LOSS_CAP * 1.5, `flap ${flap} waits ${wait} ms`);
  }
});

Deno.test("Connector backs off from a peer that answers and does not let us in", () => {
  const bench = new Bench({ discovery: false });
  bench.connect(HOST);
  for (let i = 0; i < 25; i++) {
    bench.connector.connected(bench.dial(ADDRESS), peer(2), bench.time);
    bench.ended(bench.last!, { peer: peer(2), used: false });
  }
  assert.ok(bench.view(HOST)!.retryAt! - bench.now >= RETRY_CAP / 2);
});

Deno.test("Connector forgets failures when a peer is reached by a connection that it made", () => {
  const bench = worn();
  bench.connections = [{ peer: peer(2), address: `${HOST}:40000`, outbound: false }];
  bench.now += 1_000;
  bench.connector.request(bench.time);
  bench.due();
  assert.equal(bench.view(HOST)?.state, "satisfied");
  bench.now += GOOD_LIFE + 1;
  bench.connections = [];
  bench.connector.request(bench.time);
  bench.due();
  const wait = bench.view(HOST)!.retryAt! - bench.now;
  assert.ok(wait >= 100 && wait < 300, `${wait}: the other end goes first`);
  bench.dial(ADDRESS);
});

Deno.test("Connector tries at once what waits when this host's network has changed", () => {
  const bench = worn();
  const before = bench.now;
  bench.connector.networkChanged(bench.time);
  bench.ended(bench.dial(ADDRESS));
  assert.ok(bench.now - before < RENEW_SPREAD.direct, `${bench.now - before}`);
  bench.dial(ADDRESS);
  assert.ok(bench.now - before < 2_000, "the first try may come before the network is whole");
});

Deno.test("Connector does not let an interface that flaps make it dial all the time", () => {
  const bench = worn();
  let dials = 0;
  const end = bench.now + 20_000;
  for (; bench.now < end; bench.now += 10) {
    bench.connector.networkChanged(bench.time);
    for (const effect of bench.due()) {
      if (effect.kind !== "dial") continue;
      dials++;
      bench.ended(effect.attempt);
    }
  }
  assert.ok(dials >= 20_000 / RENEW_INTERVAL / 2 && dials <= 2 * 20_000 / RENEW_INTERVAL, `${dials} dials`);
});

Deno.test("Connector gives up what hangs when the network has changed: a dial, a look-up, not an introduction", () => {
  const bench = new Bench({ discovery: false });
  bench.connect(HOST, "192.0.2.2", "peer.example.com");
  const [hung, open, lookUp] = bench.due().map((effect) => effect.attempt);
  bench.open.add(open!);
  bench.now += HUNG - 1;
  bench.connector.networkChanged(bench.time);
  assert.deepEqual(bench.due(), [], "they are young yet");
  bench.now += HUNG;
  bench.connector.networkChanged(bench.time);
  const effects = bench.due();
  const gone = effects.filter((each) => each.kind === "abandon").map((each) => each.attempt);
  assert.deepEqual(new Set(gone), new Set([hung, lookUp]));
  assert.deepEqual(effects.map((each) => each.kind).sort(), ["abandon", "abandon", "dial", "resolve"]);
  bench.ended(hung!);
  bench.connector.resolved(lookUp!, ["192.0.2.9" as Ip], bench.time);
  assert.deepEqual(bench.next(), [], "what comes of them later changes nothing");
});

Deno.test("Connector begins dials anew that began before this host had an address for them", () => {
  const bench = new Bench({ discovery: false });
  bench.connect("2001:db8::2", HOST, "2001:db8::3");
  const [six, , open] = bench.due().map((effect) => effect.attempt);
  bench.open.add(open!);
  bench.now += 10;
  bench.connector.networkChanged(bench.time, ["2001:db8::1" as Ip]);
  const effects = bench.due();
  assert.deepEqual(effects.filter((each) => each.kind === "abandon").map((each) => each.attempt), [six]);
  bench.now += RENEW_SPREAD.direct;
  const anew = [...effects, ...bench.due()].filter((each) => each.kind === "dial");
  assert.deepEqual(anew.map(({ address }) => address.ip), ["2001:db8::2"]);
  bench.now += RENEW_INTERVAL;
  bench.connector.networkChanged(bench.time);
  assert.deepEqual(bench.due(), [], "the new dial knows the address");
});

Deno.test("Connector leaves alone what is given up for good when the network has changed", () => {
  const bench = new Bench({ discovery: false });
  bench.connect(HOST);
  bench.ended(bench.dial(ADDRESS), { never: true });
  bench.connector.networkChanged(bench.time);
  assert.deepEqual(bench.next(), []);
});
