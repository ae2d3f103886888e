import assert from "node:assert/strict";
import type { HistoryReport } from "../../../mod/control/history_types.ts";
import { leftHosts, mayHaveBeenAt, whatBecameOf } from "../../../mod/doctor/left_hosts.ts";

const NOW = Date.parse("2026-01-31T12:00:00.000Z");
const HERE = { here: new Set<string>(), ago: (at: string) => NOW - Date.parse(at) };

function entry(
  event: HistoryReport["event"],
  agoSeconds: number,
  change: Partial<HistoryReport> = {},
): HistoryReport {
  return {
    ...{
      at: new Date(NOW - agoSeconds * 1000).toISOString(),
      event,
      peer: "p2",
      nickname: "h2",
      target: null,
    },
    ...{
      address: "192.0.2.2:50001",
      overlay: null,
      reason: "the peer closed the connection",
      leftOut: 0,
      ...change,
    },
  };
}

Deno.test("leftHosts() gives those that left and are not here, the latest first, each once", () => {
  const history = [
    entry("disconnected", 7_200, { peer: "p3", nickname: null, address: null, reason: null }),
    entry("disconnected", 600),
    entry("connected", 500),
    entry("disconnected", 12),
    entry("disconnected", 5, { peer: "p4", nickname: "h4" }),
    entry("started", 3, { peer: null }),
  ];
  const found = leftHosts(history, { ...HERE, here: new Set(["p4"]) });
  assert.deepEqual(found.map(({ agoMs, ip, name, peer }) => [peer, name, ip, agoMs]), [
    ["p2", "h2", "192.0.2.2", 12_000],
    ["p3", "p3", "", 7_200_000],
  ]);
  assert.equal(
    whatBecameOf(found[0]!),
    "h2 was here and left 12 s ago (the peer closed the connection); see there whether meshnet runs, and by " +
      "`meshnet check 192.0.2.2` whether the way is free",
  );
  assert.match(whatBecameOf(found[1]!), /^p3 was here and left 2 h ago; .*`meshnet check p3`/);
  assert.match(
    mayHaveBeenAt(found),
    /^it may have been on h2, which left 12 s ago \(.*\), or p3, which left 2 h ago$/,
  );
});

Deno.test("mayHaveBeenAt() says nothing where nobody left, and names three at most", () => {
  assert.equal(mayHaveBeenAt([]), "");
  const many = leftHosts(
    [1, 2, 3, 4].map((n) => entry("disconnected", n * 200_000, { peer: `p${n}`, nickname: `h${n}` })),
    HERE,
  );
  assert.equal(many.length, 4);
  assert.match(mayHaveBeenAt(many), /h4, .* days ago/);
  assert.doesNotMatch(mayHaveBeenAt(many), /h1,/);
});
