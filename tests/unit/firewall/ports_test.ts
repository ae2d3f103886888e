import assert from "node:assert/strict";
import { judgePorts } from "../../../mod/firewall/plan.ts";
import type { MeshPort } from "../../../mod/firewall/wanted.ts";
import { portProblems } from "../../../mod/firewall/words.ts";
import { nameOctets } from "../../../mod/firewall/packet.ts";
import type { Rule, Table } from "../../../mod/wire/filter/model.ts";
import { recordedLegacy, recordedNft } from "./recorded.ts";

const PORTS: readonly MeshPort[] = [
  { protocol: "tcp", port: 6783 },
  { protocol: "udp", port: 6783 },
  { protocol: "udp", port: 6784 },
  { protocol: "esp" },
];
const said = (tables: readonly Table[], ports = PORTS) =>
  portProblems(judgePorts(tables, { families: ["ip"], ports })).map(({ hint, message }) => [
    message.replace("This host's firewall drops what other hosts send to ", ""),
    hint.replace("Open the mesh's ports: ", ""),
  ]);

Deno.test("judgePorts() says nothing where nothing drops", () => {
  assert.deepEqual(said(recordedNft("docker")), []);
  assert.deepEqual(said([]), []);
});

Deno.test("judgePorts() follows ufw's chains, and its command opens the ports", () => {
  const lost = [[
    "UDP 6783 and 6784 and ESP: chain INPUT of table ip filter has policy drop",
    "ufw allow 6783/udp && ufw allow 6784/udp && ufw allow proto esp from any",
  ]];
  // Port 6783 of TCP is in a range of a multiport rule.
  assert.deepEqual(said(recordedNft("ufw")), lost);
  const legacy = said([recordedLegacy("ufw", "ip")]);
  assert.match(legacy[0]![0]!, /^UDP 6783 and 6784 and ESP: chain INPUT of table filter of iptables-legacy/);
});

Deno.test("judgePorts() follows firewalld's chains through sets and states", () => {
  assert.deepEqual(said(recordedNft("firewalld"), PORTS.slice(0, 2)), [[
    "TCP 6783 and UDP 6783: rule 6 of chain filter_INPUT of table inet firewalld drops it",
    "firewall-cmd --permanent --add-port=6783/tcp --add-port=6783/udp && firewall-cmd --reload",
  ]]);
});

Deno.test("judgePorts() reads ranges in sets and verdict maps; what perhaps passes is no loss", () => {
  // A map accepts all of one interface, and another one leads to a chain that accepts.
  assert.deepEqual(said(recordedNft("simple")), []);
  const tables = recordedNft("simple").map((table) => {
    const chain = table.chains.get("input")!;
    const rules = chain.rules.filter(({ verdict }, i) => verdict.kind !== "map" || i === 0);
    return { ...table, chains: new Map(table.chains).set("input", { ...chain, rules }) };
  });
  assert.deepEqual(said(tables), [[
    "UDP 6784 and ESP: chain input of table inet filter has policy drop",
    "nft insert rule inet filter input udp dport 6784 accept && nft insert rule inet filter input meta l4proto esp accept",
  ]]);
});

Deno.test("portProblems() names iptables where iptables made the chain", () => {
  const chains = new Map([["INPUT", { name: "INPUT", hook: "input", policy: "drop", rules: [] } as const]]);
  const table: Table = { backend: "nft", family: "ip", name: "filter", chains };
  const commands = (one: Table) => said([one])[0]![1]!.split(" && ");
  assert.deepEqual(commands(table), [
    "iptables -I INPUT -p tcp --dport 6783 -j ACCEPT",
    "iptables -I INPUT -p udp --dport 6783:6784 -j ACCEPT",
    "iptables -I INPUT -p esp -j ACCEPT",
  ]);
  assert.equal(
    commands({ ...table, family: "inet", name: "f" })[1],
    "nft insert rule inet f INPUT udp dport '{ 6783, 6784 }' accept",
  );
  assert.deepEqual(
    portProblems(judgePorts([{ ...table, family: "ip6" }], { families: ["ip"], ports: PORTS })),
    [],
  );
});

Deno.test("judgePorts() sees what this host does not let out, and the command lets it out", () => {
  const rule = {
    handle: 7,
    tests: [
      { field: "protocol", spans: [{ low: Uint8Array.of(17), high: Uint8Array.of(17) }], negated: false },
      {
        field: "dport",
        spans: [{ low: Uint8Array.of(0x1a, 0x80), high: Uint8Array.of(0x1a, 0x80) }],
        negated: false,
      },
    ],
    verdict: { kind: "drop" },
  } as const;
  const loopback = nameOctets("lo");
  const onLoopback = { field: "oif", spans: [{ low: loopback, high: loopback }], negated: false } as const;
  const table = (...rules: readonly Rule[]): Table => ({
    ...{ backend: "nft", family: "inet", name: "filter" },
    chains: new Map([["output", { name: "output", hook: "output", policy: "accept", rules }]]),
  });
  const lost = portProblems(judgePorts([table(rule)], { families: ["ip", "ip6"], ports: PORTS }));
  assert.deepEqual(lost, [{
    message:
      "This host's firewall drops what it sends to other hosts' UDP 6784: rule 1 of chain output of table inet filter drops it",
    hint: "Let it out: nft insert rule inet filter output udp dport 6784 accept",
  }]);
  const own = { ...rule, tests: [onLoopback, ...rule.tests] };
  assert.deepEqual(judgePorts([table(own)], { families: ["ip"], ports: PORTS }), []);
  const other = { ...rule, tests: [...rule.tests, { field: "other", spans: [], negated: false } as const] };
  assert.deepEqual(judgePorts([table(other)], { families: ["ip"], ports: PORTS }), []);
});
