import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { dialAdvice } from "../../../../mod/mesh/dialing/dial_advice.ts";
import { brokenBy, dialErrorOf, endpointOf } from "../../../../mod/mesh/tcp/tcp_shell.ts";

for (
  const [message, failure] of [
    ["Connection refused (os error 111)", "refused"],
    ["connect ECONNREFUSED 127.0.0.1:1 - Local (127.0.0.5:0)", "refused"],
    ["Connection timed out (os error 110)", "timeout"],
    ["connect ETIMEDOUT 192.0.2.1:1", "timeout"],
    ["connect EHOSTUNREACH 192.0.2.1:1", "unreachable"],
    ["connect ENETUNREACH 192.0.2.1:1", "unreachable"],
    ["No route to host (os error 113)", "unreachable"],
    ["Network is unreachable (os error 101)", "unreachable"],
    ["Permission denied", "other"],
  ] as const
) {
  Deno.test(`dialErrorOf() sorts: ${message}`, () => {
    assert.equal(dialErrorOf(new Error(message)).failure, failure);
  });
}

Deno.test("dialAdvice() names the fault and what to check", () => {
  const address = { ip: "192.0.2.1" as Ip, port: 6783 };
  assert.match(dialAdvice(address, "refused", ""), /nothing listens on 192.0.2.1:6783: is meshnet running/);
  assert.match(dialAdvice(address, "timeout", ""), /firewall drop TCP port 6783/);
  assert.match(dialAdvice(address, "unreachable", ""), /no route to 192.0.2.1:6783/);
  assert.match(dialAdvice(address, "other", "odd"), /odd$/);
});

Deno.test("brokenBy() says in words how a connection broke", () => {
  assert.match(brokenBy(new Error("Connection reset by peer (os error 104)")), /was reset/);
  assert.match(brokenBy(new Error("Connection timed out (os error 110)")), /timed out/);
  assert.match(brokenBy("odd"), /broke: odd/);
});

Deno.test("endpointOf() reads what the system reports", () => {
  assert.deepEqual(endpointOf("::ffff:192.0.2.1", 5), { ip: "192.0.2.1", port: 5 });
  assert.deepEqual(endpointOf("fe80::1%eth0", 5), { ip: "fe80::1", port: 5 });
});
