import assert from "node:assert/strict";
import { type Ip, parseCidr } from "../../../mod/core/addr.ts";
import { defaultMtu, meshFamilies, mtuAdvice, possibleMtu } from "../../../mod/daemon/host/underlay.ts";
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
    assert.equal(defaultMtu(host, isOurs, { compat: "weave" }), mtu);
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

const routeTo = (cidr: string, more: Partial<Route> = {}): Route => ({
  ...defaultVia(2),
  destination: parseCidr(cidr)!,
  ...more,
});
const LOCAL = [
  routeTo("127.0.0.0/8", { type: 2 }),
  routeTo("::1/128"),
  routeTo("fe80::/64"),
  routeTo("ff00::/8"),
];
const DOCKER = routeTo("172.17.0.0/16", { interfaces: [9] });
Deno.test("defaultMtu() leaves room for what seals packets where hosts are reached over IPv6 alone", () => {
  const links = [lo, link(2, "eth0", 1500)];
  const mtuOf = (routes: readonly Route[], sealed: boolean) =>
    defaultMtu({ links, routes }, isOurs, { sealed });
  const both = [defaultVia(2), routeTo("::/0")];
  assert.deepEqual([mtuOf(both, false), mtuOf(both, true)], [1410, 1410]);
  assert.deepEqual([mtuOf([routeTo("::/0")], false), mtuOf([routeTo("::/0")], true)], [1410, 1393]);
});

const FAMILIES:
  readonly (readonly [what: string, routes: readonly string[] | Route[], peers: string[], string])[] = [
    ["a host without any route", [], [], "ip"],
    ["a host of IPv4", ["192.0.2.0/24", "0.0.0.0/0"], [], "ip"],
    ["a host of both", ["0.0.0.0/0", "::/0"], [], "ip"],
    [
      "a host of both that is told a peer's IPv6 address",
      ["0.0.0.0/0", "::/0"],
      ["[2001:db8::1]:1"],
      "ip ip6",
    ],
    ["a host of IPv6", ["2001:db8::/64", "::/0"], [], "ip6"],
    ["a host of IPv6 with a bridge of Docker's", [routeTo("::/0"), DOCKER], [], "ip6"],
    ["a host of IPv6 without a way out", [routeTo("fd50::/64")], [], "ip6"],
    ["a host whose kernel refuses what is beyond", [routeTo("::/0", { type: 7 }), DOCKER], [], "ip"],
  ];
for (const [what, routes, peers, families] of FAMILIES) {
  Deno.test(`meshFamilies() gives ${families} for ${what}`, () => {
    const all = routes.map((route) => typeof route === "string" ? routeTo(route) : route);
    assert.equal(meshFamilies({ host: undefined, peers }, [...LOCAL, ...all]).join(" "), families);
  });
}

Deno.test("meshFamilies() is that of --host, where that is given", () => {
  assert.deepEqual(meshFamilies({ host: "192.0.2.1" as Ip, peers: ["[2001:db8::1]"] }, [routeTo("::/0")]), [
    "ip",
  ]);
  assert.deepEqual(meshFamilies({ host: "2001:db8::1" as Ip, peers: [] }, [routeTo("0.0.0.0/0")]), ["ip6"]);
});
