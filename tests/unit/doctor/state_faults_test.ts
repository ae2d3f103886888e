import assert from "node:assert/strict";
import type { EngineTrouble } from "../../../mod/control/name_types.ts";
import type { ConnectionReport, RefusedReport } from "../../../mod/control/api_types.ts";
import {
  engineFaults,
  healthFaults,
  refusedFaults,
  sharingFaults,
} from "../../../mod/doctor/state_faults.ts";
import { EXAMPLE } from "../control/example_status.ts";

const PASSWORD = "the peer has a password and this host has none: set the same password on both";
const KNOCK: RefusedReport = {
  ...{ address: "192.0.2.2", peer: null, nickname: null, reason: PASSWORD, count: 7, agoMs: 100 },
};

Deno.test("healthFaults() names targets that do not answer, and what ends the check", () => {
  const dns = (healthy: boolean | null, trouble: EngineTrouble | null = null) => ({
    ...EXAMPLE,
    attachments: [],
    dns: {
      ...EXAMPLE.dns!,
      probed: [{ target: "netns:a", check: "tcp:80", healthy, forMs: 9_000, reason: "refused", trouble }],
    },
  });
  assert.deepEqual([true, null].flatMap((healthy) => healthFaults(dns(healthy))), []);
  assert.deepEqual(healthFaults({ ...EXAMPLE, dns: null }), []);
  const [fault] = healthFaults(dns(false));
  assert.equal(
    fault!.message,
    "netns:a has not answered its check tcp:80 for 9 s, so its names lead elsewhere: refused",
  );
  assert.match(fault!.hint!, /`meshnet attach --health none netns:a`/);
  assert.deepEqual(healthFaults(dns(false, "paused")), [{
    message: "netns:a is paused, so its names lead elsewhere",
    hint: "`docker unpause netns:a` lets it go on",
  }]);
});

Deno.test("refusedFaults() names who knocks with wrong settings, once for each reason, until he is in", () => {
  const found = (refused: readonly RefusedReport[], connections: readonly Partial<ConnectionReport>[] = []) =>
    refusedFaults({ refused, connections: connections as readonly ConnectionReport[] });
  const [fault, ...others] = found([KNOCK, { ...KNOCK, address: "192.0.2.3", nickname: "h3", count: 1 }]);
  assert.equal(others.length, 0);
  assert.match(
    fault!.message,
    /^192\.0\.2\.2, h3 \(192\.0\.2\.3\) came 8 times in the last ten minutes and were not let in: /,
  );
  assert.match(fault!.hint!, /`meshnet up --password-file FILE`/);
  const [lacks] = found([{
    ...KNOCK,
    reason: "the peer has a password and this host has none: set the same",
  }]);
  assert.match(
    lacks!.hint!,
    /start this host with the password of that one: `meshnet up --password-file FILE`/,
  );
  const [clone] = found([{ ...KNOCK, reason: "it has the same peer name as this host", count: 1 }]);
  assert.match(clone!.message, / came once .* was not let in/);
  assert.match(clone!.hint!, /meshnet reset/);
  assert.deepEqual(found([KNOCK], [{ state: "established", address: "192.0.2.2:40000", peer: "x" }]), []);
  const looker = { ...KNOCK, reason: "the peer closed the connection during the introduction: see its log" };
  assert.deepEqual(found([looker]), []);
});

Deno.test("sharingFaults() says what addresses wait for, unless a problem says so", () => {
  const ipam = { ...EXAMPLE.ipam!, state: "awaiting-consensus", info: "3 hosts must agree" };
  const [fault] = sharingFaults({ ipam, problems: [] });
  assert.equal(fault!.message, "No address can be given out yet: 3 hosts must agree");
  const problems = [{ message: "a waits for an address: 3 hosts must agree", hint: null }];
  assert.deepEqual(sharingFaults({ ipam, problems }), []);
  for (const state of ["idle", "ready", "waiting"]) {
    assert.deepEqual(sharingFaults({ ipam: { ...ipam, state }, problems: [] }), []);
  }
  assert.deepEqual(sharingFaults({ ipam: null, problems: [] }), []);
});

Deno.test("engineFaults() names an engine that is missed, and none that nobody asked for", () => {
  const engine = { socket: "/run/x.sock", version: null, api: null, info: "nobody listens", containers: 0 };
  const [target] = EXAMPLE.attachments;
  const [fault] = engineFaults({ engine, attachments: [] }, { named: true });
  assert.equal(fault!.message, "The container engine at /run/x.sock cannot be reached: nobody listens");
  const containers = { engine, attachments: [{ ...target!, target: "container:abc" }] };
  assert.equal(engineFaults(containers, { named: false }).length, 1);
  assert.deepEqual(engineFaults({ engine, attachments: [] }, { named: false }), []);
  assert.deepEqual(engineFaults({ engine: { ...engine, info: "" }, attachments: [] }, { named: true }), []);
  assert.deepEqual(engineFaults({ engine: null, attachments: [] }, { named: true }), []);
});
