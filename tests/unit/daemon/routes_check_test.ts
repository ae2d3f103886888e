import assert from "node:assert/strict";
import { RangeWatch } from "../../../mod/daemon/addresses/range_watch.ts";
import { cidrContains, parseCidr } from "../../../mod/core/addr.ts";
import { hiddenByRange, type HostRoute, overlappingRoute } from "../../../mod/daemon/checks/routes.ts";

const route = (text: string): HostRoute => ({
  destination: parseCidr(text)!,
  interface: "eth0",
  viaGateway: false,
});
const RANGE = parseCidr("10.32.0.0/12")!;

Deno.test("overlappingRoute() lets default routes, the halves of a VPN, other networks and IPv6 be", () => {
  for (const text of ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "192.168.1.0/24", "10.48.0.0/12", "::/0"]) {
    assert.equal(overlappingRoute(RANGE, [route(text)]), undefined, text);
  }
});

Deno.test("overlappingRoute() refuses what contains the range and what is in it, and proposes what is free", () => {
  const cases: readonly (readonly [routes: readonly string[], free: string])[] = [
    [["10.33.0.0/16"], "10.0.0.0/12"],
    [["10.33.0.5/32", "10.0.0.0/24", "10.16.0.0/12"], "10.48.0.0/12"],
    [["10.0.0.0/8"], "172.16.0.0/12"],
    [["10.0.0.0/8", "172.16.0.0/12"], "100.64.0.0/12"],
  ];
  for (const [routes, free] of cases) {
    const fault = overlappingRoute(RANGE, routes.map(route));
    assert.equal(fault?.code, "ipam/range-overlaps");
    assert.match(
      fault.message,
      /^Cannot allocate addresses of 10\.32\.0\.0\/12: this host has a route to .* by eth0$/,
    );
    assert.equal(/--ip-range (\S+);/.exec(fault.hint!)?.[1], free);
    for (const text of routes) assert.ok(!cidrContains(parseCidr(free)!, parseCidr(text)!.ip), text);
  }
});

Deno.test("overlappingRoute() proposes a smaller range where no other is free, and none where there is none", () => {
  const most = ["10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10"].map(route);
  assert.match(overlappingRoute(RANGE, most)!.hint!, /--ip-range 192\.168\.0\.0\/16;/);
  const all = [...most, route("192.168.0.0/16")];
  assert.match(
    overlappingRoute(RANGE, all)!.hint!,
    /--ip-range CIDR with a range that is free on all hosts;/,
  );
  const many = [
    ...all,
    ...Array.from({ length: 500 }, (_, n) => route(`10.32.${n >> 1}.${(n & 1) * 128}/25`)),
  ];
  const started = performance.now();
  assert.ok(overlappingRoute(RANGE, many));
  assert.ok(performance.now() - started < 2_000, "a host with many routes starts, too");
});

Deno.test("overlappingRoute() proposes as small a range as was asked for", () => {
  const fault = overlappingRoute(parseCidr("10.32.0.0/26")!, [route("10.32.0.0/24"), route("10.0.0.0/25")]);
  assert.match(fault!.hint!, /--ip-range 10\.0\.0\.128\/26;/);
});

Deno.test("hiddenByRange() names range and routes, what is hidden, and what can be done", () => {
  assert.equal(hiddenByRange(RANGE, [route("0.0.0.0/0"), route("192.168.1.0/24")]), undefined);
  const { hint, message } = hiddenByRange(RANGE, [route("10.40.0.0/16"), route("192.168.1.0/24")])!;
  assert.equal(
    message,
    "The range of addresses, 10.32.0.0/12, overlaps a route of this host to 10.40.0.0/16 by eth0: containers do not " +
      "reach what is there, nor does this host reach containers at these addresses",
  );
  assert.match(
    hint,
    /^Remove the route .* or leave it .*--ip-range 10\.0\.0\.0\/12, which gives every container/,
  );
  const many = Array.from({ length: 6 }, (_, i) => route(`10.4${i}.0.0/16`));
  assert.match(
    hiddenByRange(RANGE, many)!.message,
    /routes of this host to .* 10\.43\.0\.0\/16 by eth0 and 2 more: /,
  );
});

Deno.test("RangeWatch looks when routes have changed and somebody asks, and tells once", () => {
  const logged: string[] = [];
  let routes: readonly HostRoute[] = [];
  let looks = 0;
  const watch = new RangeWatch({
    range: RANGE,
    routes: () => (looks++, routes),
    logger: { info: () => void logged.push("over"), warn: () => void logged.push("overlap") },
  });
  assert.deepEqual([watch.problems(), watch.problems(), looks], [[], [], 1]);
  routes = [route("10.40.0.0/16")];
  assert.deepEqual(watch.problems(), []);
  for (let i = 0; i < 3; i++) {
    watch.changed();
    assert.equal(watch.problems().length, 1);
  }
  routes = [];
  watch.changed();
  assert.deepEqual([watch.problems(), logged], [[], ["overlap", "over"]]);
});
