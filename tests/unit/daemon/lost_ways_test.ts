import assert from "node:assert/strict";
import { lostWays } from "../../../mod/daemon/checks/lost_ways.ts";
import { EXAMPLE } from "../control/example_status.ts";

Deno.test("lostWays() names each host once to which the kernel has no route", () => {
  const one = {
    ...EXAMPLE.connections[0]!,
    peer: "02:00:00:00:00:02",
    nickname: "host2",
    address: "192.0.2.2:6783",
  };
  const others = [3, 4, 5, 6].map((n) => ({
    ...{ ...one, nickname: null, peer: null },
    address: `192.0.2.${n}:6783`,
  }));
  const connections = [one, { ...one, address: "192.0.2.2:40000" }, { ...one, address: "host9" }];
  const called = (peer: string) => peer === one.peer ? "host2" : undefined;
  assert.equal(lostWays({ connections }, called, () => true), undefined);
  const lost = lostWays({ connections }, called, () => false)!;
  assert.equal(lost.message, "This host has no route to host2 (192.0.2.2)");
  assert.match(lost.hint!, /^`ip route get 192\.0\.2\.2`/);
  const gone = [{ ...one, nickname: null }];
  const message = (host: string) => `This host has no route to ${host} (192.0.2.2)`;
  assert.equal(lostWays({ connections: gone }, called, () => false)?.message, message("host2"));
  assert.equal(lostWays({ connections: gone }, () => undefined, () => false)?.message, message(one.peer));
  const half = lostWays(
    { connections: [...connections, ...others] },
    called,
    ({ ip }) => ip === "192.0.2.2",
  )!;
  assert.match(half.message, /no route to 192\.0\.2\.3, 192\.0\.2\.4, 192\.0\.2\.5, 192\.0\.2\.6$/);
  const all = lostWays({ connections: [...connections, ...others] }, called, () => false)!;
  assert.match(all.message, /host2 \(192\.0\.2\.2\), 192\.0\.2\.3, 192\.0\.2\.4, 192\.0\.2\.5 and 1 more$/);
});
