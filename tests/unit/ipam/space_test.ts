import assert from "node:assert/strict";
import { parseCidr, parseIp } from "../../../mod/core/addr.ts";
import { Space } from "../../../mod/ipam/space.ts";
import {
  joined,
  largestAligned,
  rangeText,
  type Span,
  subnetFault,
  Universe,
} from "../../../mod/ipam/universe.ts";
import { check, fc } from "../properties.ts";
import { loadVectors } from "../vectors.ts";

interface Case {
  readonly op: "biggestCIDR" | "donate";
  readonly desc?: string;
  readonly start: string;
  readonly endExclusive: string;
  readonly asCIDRString: string;
  readonly result: readonly [string, number];
  readonly owned: readonly [string, string];
  readonly request: readonly [string, string];
  readonly state: string;
  readonly ok: boolean;
  readonly donated?: readonly [string, string];
}

function universeOf(cidr: string): Universe {
  const made = Universe.of(parseCidr(cidr)!);
  assert.ok(made.ok);
  return made.value;
}
const universe = universeOf("0.0.0.0/1");
const at = (text: string) => universe.offsetOf(parseIp(text)!)!;
const spanOf = ([start, end]: readonly [string, string]) => ({ start: at(start), end: at(end) });

for (const each of loadVectors<{ cases: Case[] }>("ipam-space").cases) {
  if (each.op === "biggestCIDR") {
    Deno.test(`largestAligned() and rangeText(): ${each.asCIDRString}`, () => {
      const span = spanOf([each.start, each.endExclusive]);
      const start = at(each.result[0]);
      assert.deepEqual(largestAligned(span), { start, end: start + each.result[1] });
      const text = rangeText(span.start, span.end);
      assert.ok(text === each.asCIDRString || !text.includes("/"), text); // odd ranges differ in how they are shown
    });
  } else {
    Deno.test(`Space.donate(): ${each.desc}`, () => {
      const space = new Space(0);
      space.update([spanOf(each.owned)]);
      const used = /owned: ([0-9.]+)\+(\d+)/.exec(each.state);
      for (let i = 0; i < Number(used?.[2] ?? 0); i++) assert.ok(space.claim(at(used![1]!) + i));
      assert.deepEqual(space.donate(spanOf(each.request)), each.ok ? spanOf(each.donated!) : undefined);
    });
  }
}

/** The obvious way: a table with an octet for each address. */
class Table {
  readonly cells: ("alien" | "free" | "used")[] = Array<"alien">(128).fill("alien");

  spans(what: "free" | "used"): Span[] {
    return joined(this.cells.flatMap((cell, i) => cell === what ? [{ start: i, end: i + 1 }] : []));
  }
}

Deno.test("Space does what a plain table does, whatever the order of operations", () => {
  const step = fc.tuple(fc.nat(5), fc.nat(127), fc.integer({ min: 1, max: 40 }));
  check(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const space = new Space(0);
      const table = new Table();
      for (const [what, start, length] of steps) {
        const span = { start, end: Math.min(128, start + length) };
        const inside = table.cells.slice(span.start, span.end);
        if (what === 0) {
          const expected = inside.indexOf("free");
          assert.equal(space.allocate(span), expected < 0 ? undefined : start + expected);
          if (expected >= 0) table.cells[start + expected] = "used";
        } else if (what === 1) {
          assert.equal(space.claim(start), table.cells[start] === "free");
          if (table.cells[start] === "free") table.cells[start] = "used";
        } else if (what === 2) {
          space.release(start);
          if (table.cells[start] === "used") table.cells[start] = "free";
        } else if (what === 3) {
          const given = space.donate(span);
          assert.equal(given === undefined, !inside.includes("free"));
          if (given === undefined) continue;
          assert.ok(given.start >= span.start && given.end <= span.end);
          assert.ok(table.cells.slice(given.start, given.end).every((cell) => cell === "free"));
          table.cells.fill("alien", given.start, given.end);
        } else if (what === 4) {
          const ranges = joined([...table.spans("free"), ...table.spans("used"), span]);
          space.update(ranges);
          for (let i = span.start; i < span.end; i++) if (table.cells[i] === "alien") table.cells[i] = "free";
        } else {
          assert.equal(space.allFree(span), inside.every((cell) => cell === "free"));
          assert.equal(space.countFree(span), inside.filter((cell) => cell === "free").length);
        }
        assert.deepEqual(space.free, table.spans("free"));
        assert.deepEqual(
          [...space.used].sort((a, b) => a - b),
          [...table.cells.keys()].filter((i) => table.cells[i] === "used"),
        );
      }
    }),
    { runs: 300 },
  );
});

Deno.test("Universe counts addresses of both families", () => {
  const v4 = universeOf("10.32.0.0/12");
  assert.equal(v4.size, 1 << 20);
  assert.equal(v4.ipAt(257), "10.32.1.1");
  assert.equal(v4.offsetOf(parseIp("10.48.0.0")!), undefined);
  assert.equal(v4.offsetOf(parseIp("fd00::1")!), undefined);
  assert.deepEqual(v4.spanOf(parseCidr("10.0.0.0/8")!), { start: -(32 << 16), end: (256 - 32) << 16 });
  const v6 = universeOf("fd00:1::/80");
  assert.equal(v6.size, 2 ** 48);
  assert.equal(v6.ipAt(2 ** 48 - 1), "fd00:1::ffff:ffff:ffff");
  assert.equal(v6.offsetOf(parseIp("fd00:1::1:0")!), 65_536);
  assert.deepEqual(v6.spanOf(parseCidr("fd00:1::100/120")!), { start: 256, end: 512 });
});

Deno.test("subnets that addresses cannot be allocated in are named", () => {
  assert.equal(subnetFault(parseCidr("10.0.0.0/30")!), undefined);
  assert.deepEqual(
    subnetFault(parseCidr("10.0.0.0/31")!),
    { why: "it has fewer than 4 addresses", fix: "Give a prefix length of at most 30" },
  );
  for (
    const [text, first] of [
      ["10.0.0.1/24", "10.0.0.0"],
      ["10.47.255.9/12", "10.32.0.0"],
      ["fd00:1::9:1/112", "fd00:1::9:0"],
    ] as const
  ) {
    const fix = `Give ${first}/${text.split("/")[1]}`;
    assert.deepEqual(subnetFault(parseCidr(text)!), {
      why: `the subnet of that length begins at ${first}`,
      fix,
    });
  }
  assert.equal(Universe.of(parseCidr("fd00::/64")!).ok, false);
  assert.equal(Universe.of(parseCidr("240.0.0.0/4")!).ok, false);
});
