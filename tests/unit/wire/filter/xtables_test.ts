import assert from "node:assert/strict";
import type { Chain, Table } from "../../../../mod/wire/filter/model.ts";
import {
  encodeAccept,
  encodeNat,
  readXtables,
  readXtablesInfo,
} from "../../../../mod/wire/filter/xtables.ts";
import { carryCounters, editXtables } from "../../../../mod/wire/filter/xtables_edit.ts";
import { FakeXtables, recordedBlock, recordedLegacy } from "../../firewall/recorded.ts";
import { fuzz } from "../../fuzz.ts";

const OURS = { comment: "meshnet: traffic of containers", iif: "meshnet", oif: "meshnet" };
const BLOCKS = [["docker", "ip"], ["docker", "ip6"], ["ufw", "ip"]] as const;

/** What a chain does, without the places of its rules. */
const gist = ({ hook, policy, rules }: Chain) => ({
  ...{ hook, policy },
  rules: rules.map(({ comment, tests, verdict }) => ({ comment, tests, verdict })),
});
const gists = (table: Table) =>
  Object.fromEntries([...table.chains].map(([name, chain]) => [name, gist(chain)]));

function edited(
  block: ReturnType<typeof recordedBlock>,
  edits: Parameters<typeof editXtables>[1],
): ReturnType<typeof recordedBlock> & { readonly origins: readonly number[] } {
  const result = editXtables(block, edits);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  const { origins, replacement } = result.value;
  const view = new DataView(replacement.buffer);
  const five = (at: number) => Array.from({ length: 5 }, (_, i) => view.getUint32(at + i * 4, true));
  const info = {
    ...{ validHooks: view.getUint32(32, true), count: view.getUint32(36, true) },
    ...{ hookEntry: five(44), underflow: five(64) },
  };
  return { ...block, info, entries: replacement.slice(96), origins };
}
function read(block: Parameters<typeof readXtables>[0]): Table {
  const table = readXtables(block);
  assert.ok(table.ok, table.ok ? "" : table.reason);
  return table.value;
}

Deno.test("readXtables() reads what the kernel has of Docker's and ufw's chains", () => {
  const table = recordedLegacy("docker", "ip");
  assert.deepEqual(
    [...table.chains.keys()].filter((name) => /^(FORWARD|DOCKER-USER|DOCKER-CT)$/.test(name)),
    [
      "FORWARD",
      "DOCKER-CT",
      "DOCKER-USER",
    ],
  );
  const forward = table.chains.get("FORWARD")!;
  assert.deepEqual([forward.hook, forward.policy], ["forward", "drop"]);
  assert.deepEqual(forward.rules.map(({ verdict }) => verdict), [
    { kind: "jump", chain: "DOCKER-USER" },
    { kind: "jump", chain: "DOCKER-FORWARD" },
  ]);
  const [first] = table.chains.get("DOCKER-CT")!.rules;
  assert.deepEqual(first!.tests.map(({ field }) => field), ["oif", "ct-state"]);
});

Deno.test("editXtables() puts rules anywhere, and all others do what they did", () => {
  for (const [name, family] of BLOCKS) {
    const block = recordedBlock(name, family);
    const before = read(block);
    const entry = encodeAccept(OURS, family);
    const places = [...before.chains.values()].flatMap(({ rules }) => rules.map(({ handle }) => handle));
    for (const place of [...places, block.info.underflow[2]!]) {
      const changed = edited(block, { removed: [], inserted: [{ before: place, entry }] });
      const after = read(changed);
      const ours = [...after.chains.values()].flatMap(({ name, rules }) =>
        rules.filter(({ comment }) => comment === OURS.comment).map((rule) => ({ name, rule }))
      );
      assert.equal(ours.length, 1);
      assert.deepEqual(ours[0]!.rule.verdict, { kind: "accept" });
      assert.deepEqual(ours[0]!.rule.tests.map(({ field }) => field), ["iif", "oif"]);
      const back = edited(changed, { removed: [ours[0]!.rule.handle], inserted: [] });
      assert.deepEqual(gists(read(back)), gists(before));
      const hooks = (
        info: typeof block.info,
      ) => [info.hookEntry.slice(1, 4), info.underflow.slice(1, 4), info.count];
      assert.deepEqual(hooks(back.info), hooks(block.info));
    }
  }
});

Deno.test("editXtables() at a chain's begin: hook and jumps lead to the new rule, the policy stays behind it", () => {
  const block = recordedBlock("docker", "ip");
  const entry = encodeAccept(OURS, "ip");
  const user = recordedLegacy("docker", "ip").chains.get("DOCKER-USER")!;
  const table = read(edited(block, {
    removed: [],
    inserted: [
      { before: block.info.hookEntry[2]!, entry },
      { before: user.rules[0]!.handle, entry },
      { before: block.info.underflow[1]!, entry },
    ],
  }));
  assert.equal(table.chains.get("FORWARD")!.rules[0]!.comment, OURS.comment);
  assert.equal(table.chains.get("FORWARD")!.policy, "drop");
  assert.equal(table.chains.get("DOCKER-USER")!.rules[0]!.comment, OURS.comment);
  assert.deepEqual(table.chains.get("INPUT")!.rules.map(({ comment }) => comment), [OURS.comment]);
});

Deno.test("editXtables() refuses places that are none", () => {
  const block = recordedBlock("docker", "ip");
  assert.deepEqual(editXtables(block, { removed: [7], inserted: [] }), {
    ok: false,
    reason: "there is no entry at 7",
  });
});

Deno.test("carryCounters() keeps the counters of rules that stay", () => {
  const old = Uint8Array.from({ length: 48 }, (_, i) => 1 + (i >> 4));
  const carried = carryCounters(old, [0, -1, 2]);
  assert.deepEqual([carried[0], carried[16], carried[32], carried.length], [1, 0, 3, 48]);
});

Deno.test("encodeNat() is read as a rule with addresses; only what neither side has outside returns", () => {
  const network = { octets: Uint8Array.of(10, 2, 1, 0), prefix: 24 };
  const block = recordedBlock("docker", "ip");
  const rules = ["source", "destination", undefined] as const;
  const inserted = rules.map((outside) => ({
    before: block.info.underflow[2]!,
    entry: encodeNat({ comment: "x", source: network, destination: network, outside }, "ip"),
  }));
  const forward = read(edited(block, { removed: [], inserted })).chains.get("FORWARD")!.rules.slice(-3);
  assert.deepEqual(forward.map(({ verdict }) => verdict.kind), ["unknown", "unknown", "return"]);
  assert.deepEqual(inserted.map(({ entry }) => entry[83]), [8, 16, 0]);
});

Deno.test("readXtables() and editXtables() survive what makes no sense", () => {
  for (const [name, family] of BLOCKS) {
    const block = recordedBlock(name, family);
    fuzz(
      (entries) => {
        editXtables({ ...block, entries }, { removed: [], inserted: [] });
        return readXtables({ ...block, entries });
      },
      [block.entries],
      { truncations: 50, mutations: 100 },
    );
  }
  const { info } = new FakeXtables("docker", "ip");
  assert.equal(readXtablesInfo(info).count > 20, true);
});
