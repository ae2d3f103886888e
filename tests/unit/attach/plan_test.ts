import assert from "node:assert/strict";
import { applySteps } from "../../../mod/attach/apply_shell.ts";
import { planAttach, planDetach, type Present, type Wanted } from "../../../mod/attach/plan.ts";
import { describeStep, type PlannedStep, type Step } from "../../../mod/attach/step.ts";
import { parseCidr } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";

const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text)!);
const wanted: Wanted = {
  hostName: "vmn0123456789",
  name: "ethmesh",
  mtu: 1376,
  mac: undefined,
  addresses: cidrs("10.2.1.1/24", "10.2.1.2/24", "fd00::1/64"),
  multicastRoute: true,
  nameServer: true,
};
const nothing: Present = { host: undefined, guest: undefined, leftover: false, sysctls: new Map() };
const right: Present = {
  host: { mtu: 1376, up: true, isPort: true },
  guest: {
    ...{ mtu: 1376, up: true, hasMulticastRoute: true },
    addresses: [...wanted.addresses].reverse(),
    nameServer: { route: true, neighbour: true },
  },
  leftover: false,
  sysctls: new Map(),
};

const words = (planned: readonly PlannedStep[]) => planned.map(({ step }) => describeStep(step));
const withoutSettings = (planned: readonly PlannedStep[]) =>
  words(planned.filter(({ step }) => step.kind !== "set-sysctl"));

Deno.test("planAttach() gives the interface its name when it is all but up", () => {
  assert.deepEqual(withoutSettings(planAttach(wanted, nothing)), [
    "make interface vmt0123456789 with host end vmn0123456789",
    "add vmn0123456789 to the switch",
    "set vmn0123456789 up",
    "add address 10.2.1.1/24 to vmt0123456789",
    "add address fd00::1/64 to vmt0123456789",
    "rename interface vmt0123456789 to ethmesh",
    "add address 10.2.1.2/24 to ethmesh",
    "set ethmesh up",
    "add the multicast route through ethmesh",
    "lead to the name server through ethmesh",
    "announce the addresses of ethmesh",
  ]);
});

Deno.test("planAttach() sets every setting before the first address", () => {
  const planned = planAttach(wanted, nothing).map(({ step }) => step);
  const first = planned.findIndex((step) => step.kind === "add-address");
  const settings = planned.flatMap((step, i) =>
    step.kind === "set-sysctl" ? [[i, `${step.key}=${step.value}`] as const] : []
  );
  assert.ok(settings.every(([i]) => i < first));
  assert.deepEqual(settings.map(([, text]) => text), [
    "net/ipv6/conf/vmn0123456789/disable_ipv6=1",
    "net/ipv6/conf/vmt0123456789/accept_ra=0",
    "net/ipv6/conf/vmt0123456789/disable_ipv6=0",
    "net/ipv4/conf/vmt0123456789/promote_secondaries=1",
    "net/ipv4/neigh/vmt0123456789/base_reachable_time_ms=5000",
    "net/ipv4/neigh/vmt0123456789/delay_first_probe_time=2",
    "net/ipv4/neigh/vmt0123456789/ucast_solicit=1",
    "net/ipv6/neigh/vmt0123456789/base_reachable_time_ms=5000",
    "net/ipv6/neigh/vmt0123456789/delay_first_probe_time=2",
    "net/ipv6/neigh/vmt0123456789/ucast_solicit=1",
  ]);
  const v4 = planAttach({ ...wanted, addresses: cidrs("10.2.1.1/24") }, nothing);
  assert.ok(!words(v4).some((text) => /ipv6.*(neigh|disable_ipv6 to 0)/.test(text)));
});

Deno.test("planAttach() is empty when all is right", () => {
  assert.deepEqual(planAttach(wanted, right), []);
  assert.deepEqual(planAttach({ ...wanted, multicastRoute: false }, right), []);
  const without = { ...wanted, nameServer: false };
  assert.deepEqual(words(planAttach(without, right)), ["end the way to the name server through ethmesh"]);
});

Deno.test("planAttach() changes only what differs, each change with its undo", () => {
  const host = right.host!;
  const guest = right.guest!;
  const cases: [name: string, present: Present, steps: string[], undos: string[]][] = [
    ["host MTU", { ...right, host: { ...host, mtu: 1500 } }, ["set the MTU of vmn0123456789 to 1376"], [
      "set the MTU of vmn0123456789 to 1500",
    ]],
    ["address", {
      ...right,
      guest: { ...guest, addresses: cidrs("10.2.1.1/24", "fd00::1/64", "10.9.9.9/8") },
    }, [
      "add address 10.2.1.2/24 to ethmesh",
      "announce the addresses of ethmesh",
    ], ["remove address 10.2.1.2/24 from ethmesh"]],
    ["port", { ...right, host: { ...host, isPort: false } }, [
      "add vmn0123456789 to the switch",
      "announce the addresses of ethmesh",
    ], ["take vmn0123456789 out of the switch"]],
    ["down", { ...right, guest: { ...guest, up: false } }, [
      "set ethmesh up",
      "add the multicast route through ethmesh",
      "lead to the name server through ethmesh",
      "announce the addresses of ethmesh",
    ], ["set ethmesh down"]],
    [
      "way to the name server",
      {
        ...right,
        guest: { ...guest, nameServer: { route: true, neighbour: false } },
      },
      ["lead to the name server through ethmesh"],
      [],
    ],
    ["setting", { ...right, sysctls: new Map([["target:net/ipv6/conf/ethmesh/accept_ra", "1"]]) }, [
      "set net.ipv6.conf.ethmesh.accept_ra to 0",
    ], ["set net.ipv6.conf.ethmesh.accept_ra to 1"]],
    ["leftovers", { ...nothing, host, leftover: true }, [
      "remove interface vmn0123456789",
      "remove interface vmt0123456789",
      ...withoutSettings(planAttach(wanted, nothing)),
    ], ["remove interface vmn0123456789", "take vmn0123456789 out of the switch"]],
  ];
  for (const [name, present, steps, undos] of cases) {
    const planned = planAttach(wanted, present)
      .filter(({ step }) => name === "setting" || step.kind !== "set-sysctl");
    assert.deepEqual(words(planned), steps, name);
    assert.deepEqual(
      planned.flatMap(({ undo }) => undo === undefined ? [] : describeStep(undo)),
      undos,
      name,
    );
  }
});

Deno.test("planDetach() removes addresses that are there, or all of it", () => {
  const [one, two, three] = wanted.addresses;
  const gone = { ...right, guest: { ...right.guest!, addresses: [one!, three!] } };
  assert.deepEqual(words(planDetach(wanted, gone, { removed: [one!, two!], left: [three!] })), [
    "remove address 10.2.1.1/24 from ethmesh",
  ]);
  assert.deepEqual(words(planDetach(wanted, right, { removed: wanted.addresses, left: [] })), [
    "take vmn0123456789 out of the switch",
    "remove interface vmn0123456789",
  ]);
  assert.deepEqual(planDetach(wanted, nothing, { removed: wanted.addresses, left: [] }), []);
});

Deno.test("applySteps() undoes in reverse and says what is left", () => {
  const done: string[] = [];
  const perform = (step: Step) => {
    done.push(describeStep(step));
    if (step.kind === "add-port" || (step.kind === "set-mtu" && step.mtu === 1500)) throw new Error("no");
  };
  const set = (name: string, mtu: number): Step => ({ kind: "set-mtu", side: "host", name, mtu });
  const planned: PlannedStep[] = [
    { step: set("a", 1), undo: set("a", 1500) },
    { step: set("b", 1), undo: set("b", 2) },
    { step: { kind: "announce", name: "a", addresses: [], nameServer: false }, undo: undefined },
    { step: { kind: "add-port", name: "a" }, undo: { kind: "remove-port", name: "a" } },
    { step: set("c", 1), undo: undefined },
  ];
  assert.throws(() => applySteps(planned, perform, "attach x"), (thrown) => {
    assert.ok(thrown instanceof MeshnetError && thrown.code === "attach/failed");
    assert.equal(
      thrown.message,
      "Cannot attach x: failed to add a to the switch: no; then also failed to set the MTU of a to 1500 (no)",
    );
    return true;
  });
  assert.deepEqual(done.slice(-3), [
    "add a to the switch",
    "set the MTU of b to 2",
    "set the MTU of a to 1500",
  ]);
});

Deno.test("applySteps() gives warnings for steps that are not needed", () => {
  const planned: PlannedStep[] = [
    { step: { kind: "set-sysctl", side: "host", key: "net/x", value: "1" }, undo: undefined },
    { step: { kind: "announce", name: "a", addresses: [], nameServer: false }, undo: undefined },
  ];
  const warnings = applySteps(planned, () => {
    throw new Error("read-only");
  }, "attach x");
  assert.deepEqual(warnings, [
    "Could not set net.x to 1: read-only",
    "Could not announce the addresses of a: read-only",
  ]);
});
