import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { Connection, ConnectionEnd } from "../../../../mod/mesh/connections/connection.ts";
import { MAX_REFUSALS, REFUSAL_MEMORY, Refusals } from "../../../../mod/mesh/connections/refusals.ts";

const at = (ms: number) => ms as Millis;
const WRONG: ConnectionEnd = { reason: "the passwords probably differ", orderly: true };

function knock(ip: string, { name, outbound = false, since = 0 }: {
  readonly name?: string;
  readonly outbound?: boolean;
  readonly since?: number;
} = {}): Connection {
  const introduced = name === undefined ? undefined : { remote: { name, nickname: "db" } };
  return { introduced, since, origin: { outbound, remote: { ip, port: 1 } } } as unknown as Connection;
}

Deno.test("Refusals.list() tells who came, why and how often, the latest first", () => {
  const refusals = new Refusals();
  refusals.ended(knock("192.0.2.9"), WRONG, at(1_000));
  refusals.ended(knock("192.0.2.8", { name: "n" }), { ...WRONG, kind: "clone", reason: "clone" }, at(2_000));
  refusals.ended(knock("192.0.2.9"), WRONG, at(61_000));
  refusals.turnedAway("192.0.2.7" as Ip, at(62_000));
  assert.deepEqual(
    refusals.list(at(63_000)).map((
      { agoMs, count, ip, nickname, peer, reason },
    ) => [ip, count, agoMs, reason, peer, nickname]),
    [
      [
        "192.0.2.7",
        1,
        1_000,
        "too many connections came from there, or from strangers altogether",
        undefined,
        undefined,
      ],
      ["192.0.2.9", 2, 2_000, WRONG.reason, undefined, undefined],
      ["192.0.2.8", 1, 61_000, "clone", "n", "db"],
    ],
  );
});

Deno.test("Refusals counts the last ten minutes alone, and forgets what is older", () => {
  const refusals = new Refusals();
  for (let minute = 0; minute < 30; minute++) refusals.ended(knock("192.0.2.9"), WRONG, at(minute * 60_000));
  assert.equal(refusals.list(at(29 * 60_000 + 1))[0]!.count, 10);
  assert.equal(refusals.list(at(34 * 60_000))[0]!.count, 5);
  assert.deepEqual(refusals.list(at(29 * 60_000 + REFUSAL_MEMORY)), []);
});

Deno.test("Refusals leaves out our own dials, duplicates, and what ended before its host was let in", () => {
  const refusals = new Refusals();
  refusals.ended(knock("192.0.2.9", { outbound: true }), WRONG, at(0));
  refusals.ended(knock("192.0.2.9"), { ...WRONG, kind: "duplicate" }, at(0));
  refusals.ended(knock("192.0.2.9"), WRONG, at(1));
  refusals.letIn("192.0.2.9" as Ip, at(10));
  refusals.ended(knock("192.0.2.9", { since: 5 }), WRONG, at(11)); // both hosts dialled each other
  assert.deepEqual(refusals.list(at(20)), []);
  refusals.ended(knock("192.0.2.9", { since: 11 }), WRONG, at(12));
  assert.equal(refusals.list(at(20)).length, 1);
});

Deno.test("Refusals remembers a bounded number of sources, those that came last", () => {
  const refusals = new Refusals();
  for (let i = 0; i < 10_000; i++) refusals.turnedAway(`10.0.${i >> 8}.${i & 255}` as Ip, at(i));
  const list = refusals.list(at(10_000));
  assert.equal(list.length, MAX_REFUSALS);
  assert.equal(list[0]!.ip, "10.0.39.15");
  for (let i = 0; i < 10_000; i++) refusals.turnedAway(`2001:db8::${i.toString(16)}` as Ip, at(20_000));
  assert.equal(
    refusals.list(at(20_000)).filter(({ ip }) => ip.includes(":")).length,
    1,
    "one host may have a /64",
  );
});
