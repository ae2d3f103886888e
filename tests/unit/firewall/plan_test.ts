import assert from "node:assert/strict";
import { planForward } from "../../../mod/firewall/plan.ts";
import { containersTraffic, exposedTraffic, type WantedRule } from "../../../mod/firewall/wanted.ts";
import { forwardProblems } from "../../../mod/firewall/words.ts";
import { parseCidr } from "../../../mod/core/addr.ts";
import type { Chain, Rule, RuleVerdict, Table, Test } from "../../../mod/wire/filter/model.ts";
import { nameOctets } from "../../../mod/firewall/packet.ts";
import { recordedLegacy, recordedNft } from "./recorded.ts";

const LEG = { name: "meshnet", index: 9 };
const BOTH = { ipv4: true, ipv6: true };
const CONTAINERS = containersTraffic(LEG, BOTH);
const OURS = "meshnet: traffic of containers";
const UNKNOWN: Test = { field: "other", spans: [], negated: false };

const named = (field: "iif" | "oif", name: string): Test => {
  const value = nameOctets(name);
  return { field, spans: [{ low: value, high: value }], negated: false };
};
let handles = 0;
const rule = (verdict: RuleVerdict, tests: readonly Test[] = [], comment?: string): Rule => ({
  ...{ handle: ++handles, tests, verdict },
  ...comment === undefined ? {} : { comment },
});
const own = () => rule({ kind: "accept" }, [named("iif", "meshnet"), named("oif", "meshnet")], OURS);
const DROP = { kind: "drop" } as const;
const ACCEPT = { kind: "accept" } as const;

/** A table of iptables-nft with these rules in FORWARD. */
function table(policy: "accept" | "drop", rules: readonly Rule[], more: readonly Chain[] = []): Table {
  const forward: Chain = { name: "FORWARD", hook: "forward", policy, rules };
  const chains = new Map([forward, ...more].map((chain) => [chain.name, chain]));
  return { backend: "nft", family: "ip", name: "filter", chains };
}
const chain = (name: string, ...rules: readonly Rule[]): Chain => ({ name, policy: "accept", rules });

/** What a plan changes, in short; rules by their handles. */
function changes(
  tables: readonly Table[],
  wanted: readonly WantedRule[] = CONTAINERS,
  change = true,
): string[] {
  return planForward(tables, { change, wanted }).changes.map((one) =>
    one.kind === "delete"
      ? `delete ${one.handle} of ${one.at.chain}`
      : `insert into ${one.at.family} ${one.at.chain} before ${one.before ?? "policy"}`
  );
}

Deno.test("planForward() wants nothing where nothing drops", () => {
  const [a, b] = [named("iif", "docker0"), named("oif", "eth0")];
  assert.deepEqual(changes([table("accept", [rule(DROP, [a]), rule(DROP, [b]), rule(DROP, [UNKNOWN])])]), []);
  assert.deepEqual(changes([table("drop", [rule(ACCEPT, [named("iif", "meshnet")])])]), []);
  assert.deepEqual(changes([table("drop", [])], []), []);
});

Deno.test("planForward() puts our rule before what drops: a policy, a rule, a jump that leads to one", () => {
  assert.deepEqual(changes([table("drop", [rule(ACCEPT, [UNKNOWN])])]), [
    "insert into ip FORWARD before policy",
  ]);
  const all = rule(DROP);
  assert.deepEqual(changes([table("accept", [rule(ACCEPT, [UNKNOWN]), all])]), [
    `insert into ip FORWARD before ${all.handle}`,
  ]);
  const jump = rule({ kind: "jump", chain: "REJECTS" });
  assert.deepEqual(changes([table("accept", [jump], [chain("REJECTS", rule(DROP))])]), [
    `insert into ip FORWARD before ${jump.handle}`,
  ]);
  const goes = rule({ kind: "goto", chain: "MORE" });
  const behind = rule(ACCEPT);
  assert.deepEqual(changes([table("drop", [goes, behind], [chain("MORE", rule(DROP, [UNKNOWN]))])]), [
    `insert into ip FORWARD before ${goes.handle}`,
  ]);
});

Deno.test("planForward() takes Docker's chain for others, before what ends it", () => {
  const returns = rule({ kind: "return" });
  const user = chain("DOCKER-USER", rule(DROP, [named("iif", "eth0")]), returns);
  const jump = rule({ kind: "jump", chain: "DOCKER-USER" });
  assert.deepEqual(changes([table("drop", [jump], [user])]), [
    `insert into ip DOCKER-USER before ${returns.handle}`,
  ]);
  assert.deepEqual(changes([table("drop", [jump], [chain("DOCKER-USER")])]), [
    "insert into ip DOCKER-USER before policy",
  ]);
  const first = rule(DROP);
  assert.deepEqual(changes([table("drop", [first, jump], [user])]), [
    `insert into ip FORWARD before ${first.handle}`,
  ]);
  const perhaps = rule({ kind: "jump", chain: "DOCKER-USER" }, [UNKNOWN]);
  assert.deepEqual(changes([table("drop", [perhaps], [user])]), ["insert into ip FORWARD before policy"]);
});

Deno.test("planForward() plans nothing more after its changes, whatever ends a chain", () => {
  const [more, drops] = [chain("MORE"), chain("DROPS", rule(DROP))];
  const jump = rule({ kind: "jump", chain: "DOCKER-USER" });
  const ends: Rule[][] = [
    [rule({ kind: "return" })],
    [rule({ kind: "goto", chain: "MORE" })],
    [rule({ kind: "jump", chain: "DROPS" })],
    [rule({ kind: "jump", chain: "MORE" }), rule({ kind: "goto", chain: "DROPS" })],
  ];
  for (const rules of ends) {
    for (
      const first of [
        table("drop", rules, [more, drops]),
        table("drop", [jump], [
          chain("DOCKER-USER", ...rules),
          more,
          drops,
        ]),
      ]
    ) {
      const { changes: planned } = planForward([first], { change: true, wanted: CONTAINERS });
      assert.equal(planned.length, 1);
      const [change] = planned;
      assert.ok(change?.kind === "insert");
      const into = first.chains.get(change.at.chain)!;
      const at = into.rules.findIndex(({ handle }) => handle === change.before);
      const changed = [...into.rules];
      changed.splice(at < 0 ? changed.length : at, 0, own());
      const after = new Map(first.chains).set(into.name, { ...into, rules: changed });
      assert.deepEqual(changes([{ ...first, chains: after }]), []);
    }
  }
});

Deno.test("planForward() leaves a rule of ours that works, and changes one that does not", () => {
  assert.deepEqual(changes([table("drop", [own()])]), []);
  const [first, second] = [own(), own()];
  assert.deepEqual(changes([table("drop", [first, second])]), [`delete ${second.handle} of FORWARD`]);
  const [late, all] = [own(), rule(DROP)];
  assert.deepEqual(changes([table("drop", [all, late])]), [
    `insert into ip FORWARD before ${all.handle}`,
    `delete ${late.handle} of FORWARD`,
  ]);
  const needless = own();
  assert.deepEqual(changes([table("accept", [needless])]), [`delete ${needless.handle} of FORWARD`]);
  const other = rule(ACCEPT, [], "meshnet: traffic from 10.2.0.0/16");
  assert.deepEqual(changes([table("accept", [other])]), [`delete ${other.handle} of FORWARD`]);
  assert.deepEqual(changes([table("accept", [rule(ACCEPT, [], "meshnet is mine")])]), []);
});

Deno.test("planForward() leaves alone what somebody wrote about this very interface, and says so", () => {
  const meant = rule(DROP, [named("iif", "meshnet")]);
  const tables = [table("drop", [own(), meant])];
  const plan = planForward(tables, { change: true, wanted: CONTAINERS });
  assert.deepEqual(plan.changes.map(({ kind }) => kind), ["delete"]);
  const [problem] = forwardProblems(plan);
  assert.match(
    problem!.message,
    /drops IPv4 traffic of containers by a rule about this very interface.*rule 2 of/,
  );
  assert.match(problem!.hint, new RegExp(`nft delete rule ip filter FORWARD handle ${meant.handle}$`));
});

Deno.test("planForward() without leave to change takes out our rules and names the command for each table", () => {
  const there = own();
  assert.deepEqual(changes([table("drop", [there])], CONTAINERS, false), [
    `delete ${there.handle} of FORWARD`,
  ]);
  const inet: Table = { ...table("drop", []), family: "inet", name: "fw" };
  const six: Table = { ...table("drop", []), family: "ip6", backend: "legacy" };
  const docker = table("drop", [rule({ kind: "jump", chain: "DOCKER-USER" })], [chain("DOCKER-USER")]);
  const plan = planForward([docker, inet, six], { change: false, wanted: CONTAINERS });
  assert.deepEqual(
    forwardProblems(plan).map(({ hint, message }) => [/sees (.*) traffic/.exec(message)![1], hint]),
    [
      ["IPv4", "Let it through: iptables -I DOCKER-USER -i meshnet -o meshnet -j ACCEPT"],
      [
        "IPv4 and IPv6",
        "Let it through: nft insert rule inet fw FORWARD iifname meshnet oifname meshnet accept",
      ],
      ["IPv6", "Let it through: ip6tables-legacy -I FORWARD -i meshnet -o meshnet -j ACCEPT"],
    ],
  );
});

Deno.test("planForward() on rule sets of Docker, ufw, firewalld and a person", () => {
  const where = (tables: readonly Table[]) => changes(tables).map((one) => one.replace(/[0-9]+$/, "a rule"));
  assert.deepEqual(where(recordedNft("docker")), [
    "insert into ip DOCKER-USER before a rule",
    "insert into ip6 DOCKER-USER before a rule",
  ]);
  assert.deepEqual(where(recordedNft("ufw")), ["insert into ip FORWARD before policy"]);
  assert.deepEqual(where(recordedNft("firewalld")), ["insert into inet filter_FORWARD before a rule"]);
  assert.deepEqual(where(recordedNft("simple")), ["insert into inet forward before policy"]);
  assert.deepEqual(where([recordedLegacy("docker", "ip")]), ["insert into ip DOCKER-USER before a rule"]);
  assert.deepEqual(where([recordedLegacy("docker", "ip6")]), ["insert into ip6 DOCKER-USER before a rule"]);
  assert.deepEqual(where([recordedLegacy("ufw", "ip")]), ["insert into ip FORWARD before policy"]);
});

Deno.test("planForward() lets exposed networks through in both directions", () => {
  const wanted = exposedTraffic(LEG, [{ network: parseCidr("10.2.1.0/24")!, masquerade: true }]);
  const plan = planForward([table("drop", [])], { change: true, wanted });
  assert.deepEqual(plan.standing.map(({ comment }) => comment), [
    "meshnet: traffic from 10.2.1.0/24",
    "meshnet: traffic to 10.2.1.0/24",
  ]);
  assert.deepEqual(forwardProblems(plan).map(({ hint }) => hint.replace("Let it through: ", "")), [
    "iptables -I FORWARD -i meshnet -s 10.2.1.0/24 -j ACCEPT",
    "iptables -I FORWARD -o meshnet -d 10.2.1.0/24 -j ACCEPT",
  ]);
  const six: Table = { ...table("drop", []), family: "ip6" };
  assert.deepEqual(changes([six], wanted), []);
});
