import assert from "node:assert/strict";
import {
  decodeExposed,
  encodeExposed,
  EXPOSED_KEY,
  exposedNetworks,
  NOT_EXPOSED,
  planExposed,
  withExposed,
  withoutExposed,
} from "../../../mod/attach/exposed.ts";
import { Exposed, type ExposedParts } from "../../../mod/attach/exposed_shell.ts";
import { formatCidr, parseCidr } from "../../../mod/core/addr.ts";
import { FakeHost } from "./fake_host.ts";

const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text)!);
/** What release 0.1.0 writes: must stay readable. */
const STORED =
  '{"version":1,"addresses":[{"address":"10.2.1.9/24","masquerade":true}],"leaving":["10.3.1.9/24"]}';

Deno.test("encodeExposed() and decodeExposed() keep the stored form, and name what is wrong", () => {
  const decoded = decodeExposed(STORED);
  assert.ok(decoded.ok);
  assert.equal(encodeExposed(decoded.value), STORED);
  assert.deepEqual(decodeExposed(undefined), { ok: true, value: NOT_EXPOSED });
  assert.equal(encodeExposed(NOT_EXPOSED), undefined);
  const cases: [text: string, reason: RegExp][] = [
    ["", /not JSON/],
    ["null", /version is undefined/],
    ['{"version":2}', /version is 2, expected 1/],
    ['{"version":1,"addresses":[],"leaving":["x"]}', /addresses are missing or wrong/],
    ['{"version":1,"addresses":[{"address":"10.2.1.9/24"}],"leaving":[]}', /missing or wrong/],
    ['{"version":1}', /missing or wrong/],
  ];
  for (const [text, reason] of cases) {
    const found = decodeExposed(text);
    assert.match(found.ok ? "" : found.reason, reason, text);
  }
});

Deno.test("withExposed() and withoutExposed() keep what leaves until it has left", () => {
  const one = withExposed(NOT_EXPOSED, cidrs("10.2.1.9/24"), true);
  assert.deepEqual(withExposed(one, cidrs("10.2.1.9/24"), true), one);
  assert.equal(withExposed(one, cidrs("10.2.1.9/24"), false).addresses[0]!.masquerade, false);
  const two = withExposed(one, cidrs("10.2.1.8/24", "10.3.1.9/24"), false);
  assert.deepEqual(
    exposedNetworks(two.addresses).map(({ network, masquerade }) => [formatCidr(network), masquerade]),
    [["10.2.1.0/24", true], ["10.3.1.0/24", false]],
  );
  assert.throws(
    () => withExposed(two, cidrs("10.2.0.9/16"), true),
    /10.2.0.9\/16.*overlaps that of 10.2.1.9\/24/,
  );
  const gone = withoutExposed(two, cidrs("10.2.1.9/24"));
  assert.deepEqual(planExposed(gone, cidrs("10.2.1.9/24", "10.2.1.8/24", "10.7.7.7/24")), {
    ...{ add: cidrs("10.3.1.9/24"), remove: cidrs("10.2.1.9/24") },
  });
  assert.deepEqual(withExposed(gone, cidrs("10.2.1.9/24"), true).leaving, []);
});

/** A host whose switch has its leg. */
function hostWithLeg() {
  const host = new FakeHost();
  const leg = host.kernel.add("", "meshnet", "bridge");
  leg.up = true;
  const trace: string[] = [];
  const { log, sysctl } = host.adapters();
  const parts: ExposedParts = {
    ...{ leg: "meshnet", store: host.store, host: host.kernel.open(undefined), log },
    sysctl: { ...sysctl, read: () => undefined },
    setLeg: (open) => Promise.resolve(void trace.push(open ? "open" : "closed")),
    letThrough: (networks) =>
      void trace.push(networks.map(({ network }) => formatCidr(network)).join(" ") || "nothing"),
    sendFrames: (frames) => void trace.push(`${frames.length} announced`),
    later() {},
  };
  return { host, leg, parts, trace };
}

Deno.test("Exposed opens the leg before the first address, and closes it behind the last", async () => {
  const { host, leg, parts, trace } = hostWithLeg();
  const exposed = new Exposed(parts);
  exposed.keep();
  assert.deepEqual([exposed.any, trace], [false, []]);
  await exposed.expose(cidrs("10.2.1.9/24"), true);
  assert.deepEqual(trace.splice(0), ["open", "1 announced", "10.2.1.0/24"]);
  await exposed.expose(cidrs("10.2.1.9/24"), true);
  assert.deepEqual(trace.splice(0), ["open", "10.2.1.0/24"]);
  await exposed.expose(cidrs("10.3.1.9/24"), true);
  assert.deepEqual(leg.addresses, ["10.2.1.9/24", "10.3.1.9/24"]);
  trace.length = 0;
  await exposed.hide(cidrs("10.2.1.9/24"));
  assert.deepEqual([trace.splice(0), leg.addresses], [["open", "10.3.1.0/24"], ["10.3.1.9/24"]]);
  await exposed.hide(cidrs("10.3.1.9/24"));
  assert.deepEqual([trace, leg.addresses, exposed.any], [["nothing", "closed"], [], false]);
  assert.equal(host.store.get(EXPOSED_KEY), undefined);
});

Deno.test("Exposed puts back what others took, and finishes what a crash left", async () => {
  const { host, leg, parts, trace } = hostWithLeg();
  const exposed = new Exposed(parts);
  await exposed.expose(cidrs("10.2.1.9/24"), true);
  leg.addresses.length = 0;
  exposed.keep();
  assert.deepEqual(leg.addresses, ["10.2.1.9/24"]);
  host.store.put(EXPOSED_KEY, STORED);
  leg.addresses.push("10.3.1.9/24", "10.7.7.7/24");
  trace.length = 0;
  const again = new Exposed(parts);
  again.keep();
  assert.deepEqual(leg.addresses, ["10.2.1.9/24", "10.7.7.7/24"]); // somebody else's stays
  assert.deepEqual(trace, []); // the firewall is told of changes alone
  assert.doesNotMatch(host.store.get(EXPOSED_KEY)!, /10.3.1.9/);
});

Deno.test("Exposed is as it was when the kernel refuses, at whichever step", async () => {
  for (let failAt = 0;; failAt++) {
    const { host, leg, parts, trace } = hostWithLeg();
    const exposed = new Exposed(parts);
    await exposed.expose(cidrs("10.2.1.9/24"), true);
    trace.length = 0;
    host.kernel.failAt = host.kernel.changes + failAt;
    const done = await exposed.expose(cidrs("10.3.1.9/24", "10.4.1.9/24"), true).then(
      () => true,
      () => false,
    );
    if (done) break;
    assert.deepEqual(exposed.addresses.map(({ cidr }) => formatCidr(cidr)), ["10.2.1.9/24"]);
    assert.deepEqual(leg.addresses, ["10.2.1.9/24"], `failed at ${failAt}`);
    assert.deepEqual(trace.slice(-2), ["10.2.1.0/24", "open"]);
  }
});

Deno.test("Exposed.check() refuses what this host has elsewhere, and IPv6", () => {
  const { host, parts } = hostWithLeg();
  host.kernel.add("", "eth0").addresses.push("10.9.1.9/24");
  host.kernel.link("", "eth0")!.routes.push("10.9.1.0/24", "10.0.0.0/8 via");
  const exposed = new Exposed(parts);
  assert.throws(
    () => exposed.check(cidrs("10.9.1.9/16")),
    /Cannot expose 10.9.1.9\/16: interface eth0 has/,
  );
  assert.throws(() => exposed.check(cidrs("10.9.1.8/24")), /overlaps 10.9.1.0\/24 on interface eth0/);
  assert.throws(() => exposed.check(cidrs("fd00::1/64")), /only IPv4/);
  assert.equal(exposed.check(cidrs("10.2.1.9/24")).length, 1); // leads elsewhere than 10.0.0.0/8 from now on
});
