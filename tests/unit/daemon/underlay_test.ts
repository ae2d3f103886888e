import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { defaultMtu, mtuAdvice, possibleMtu } from "../../../mod/daemon/host/underlay.ts";
import type { Link, Route } from "../../../mod/wire/netlink/rtnetlink.ts";

const link = (index: number, name: string, mtu: number, more: Partial<Link> = {}): Link => ({
  index,
  name,
  mtu,
  up: true,
  flags: name === "lo" ? 9 : 1,
  mac: undefined,
  qdisc: "noqueue",
  hasProgram: false,
  kind: undefined,
  peerIndex: undefined,
  peerNamespaceId: undefined,
  master: undefined,
  ...more,
});
const defaultVia = (index: number): Route => ({
  destination: { ip: "0.0.0.0" as Ip, prefix: 0 },
  interfaces: [index],
  viaGateway: true,
  table: 254,
  type: 1,
  metric: 0,
});
const lo = link(1, "lo", 65536);
const isOurs = (name: string) => name === "meshnet";

const CASES: readonly (readonly [what: string, links: Link[], routes: Route[], mtu: number])[] = [
  ["an ordinary host", [lo, link(2, "eth0", 1500)], [defaultVia(2)], 1410],
  ["a jumbo host, whose peers may have less", [lo, link(2, "eth0", 9000)], [defaultVia(2)], 1410],
  ["a cloud of 1460", [lo, link(2, "ens4", 1460)], [defaultVia(2)], 1390],
  ["a host behind a tunnel", [lo, link(2, "eth0", 1500), link(3, "wg0", 1420)], [defaultVia(3)], 1350],
  [
    "a tunnel that is not the way out",
    [lo, link(2, "eth0", 1500), link(3, "wg0", 1280)],
    [defaultVia(2)],
    1410,
  ],
  ["a jumbo host without default route", [lo, link(2, "eth0", 9000)], [], 1410],
  ["a host without default route", [lo, link(2, "eth0", 1400)], [], 1330],
  ["links that are down or ours", [link(2, "eth0", 1000, { up: false }), link(3, "meshnet", 800)], [], 1410],
  ["a host with nothing", [lo], [], 1410],
  ["absurdly small links", [link(2, "eth0", 100)], [defaultVia(2)], 576],
];

for (const [what, links, routes, mtu] of CASES) {
  Deno.test(`defaultMtu() gives ${mtu} for ${what}`, () => {
    assert.equal(defaultMtu({ links, routes }, isOurs), mtu);
  });
}

Deno.test("defaultMtu() beside Weave is what its containers have, and less where the way out carries less", () => {
  for (const [underlay, mtu] of [[1500, 1376], [9000, 1376], [1400, 1330]] as const) {
    const host = { links: [lo, link(2, "eth0", underlay)], routes: [defaultVia(2)] };
    assert.equal(defaultMtu(host, isOurs, "weave"), mtu);
  }
});

Deno.test("mtuAdvice() tells jumbo hosts what they could have, with a default route or without, and no others", () => {
  const possible = (mtu: number, routes: Route[]) =>
    possibleMtu({ links: [lo, link(2, "eth0", mtu)], routes }, isOurs);
  for (const routes of [[], [defaultVia(2)]]) {
    assert.match(mtuAdvice(1410, possible(9000, routes)) ?? "", /--mtu 8930$/);
    for (const mtu of [1280, 1410, 1500, 2000]) {
      assert.equal(mtuAdvice(1410, possible(mtu, routes)), undefined);
    }
  }
  assert.equal(mtuAdvice(1410, possibleMtu({ links: [lo], routes: [] }, isOurs)), undefined);
});
