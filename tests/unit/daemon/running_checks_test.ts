import assert from "node:assert/strict";
import type { PeerName } from "../../../mod/core/names.ts";
import { findFaults } from "../../../mod/daemon/checks.ts";
import { runningChecks, type RunningFacts } from "../../../mod/daemon/checks/running_checks.ts";
import { EXAMPLE } from "../control/example_status.ts";

const SELF = "02:00:00:00:50:01" as PeerName;
const OTHER = "02:00:00:00:50:02" as PeerName;
const OLD = "02:00:00:00:50:03" as PeerName;
const WELL = { ...EXAMPLE, problems: [], connections: [], refused: [], exposed: [], ipam: null, dns: null };

/** What the checks of a daemon with these facts find, each `check: message`. */
async function found(change: Partial<RunningFacts> & { readonly aheadMs?: number } = {}) {
  const asked: PeerName[] = [];
  const facts: RunningFacts = {
    status: () => Promise.resolve(WELL),
    taken: { lookAtOwn: () => Promise.resolve() },
    names: undefined,
    history: { list: () => [], wasCalled: () => undefined },
    config: { dns: undefined, docker: undefined, origins: {} },
    paths: {
      namespaceOf: () => undefined,
      self: SELF,
      peers: () => [SELF, OTHER, OLD].map((name) => ({ name, nickname: name === OTHER ? "h2" : "" })),
      knows: (peer) => peer !== OLD,
      channel: {
        ask: (peer) => {
          asked.push(peer);
          return Promise.resolve({ answer: {} as never, ms: 1, clockMs: change.aheadMs ?? 3 });
        },
      },
    },
    ...change,
  };
  const faults: string[] = [];
  for await (const { check, error } of findFaults(runningChecks(facts))) {
    faults.push(`${check}: ${(error as Error).message}`);
  }
  return { faults, asked };
}

Deno.test("runningChecks() finds nothing where all is well, and asks only those that understand", async () => {
  assert.deepEqual(await found(), { faults: [], asked: [OTHER] });
});

Deno.test("runningChecks() names problems, clocks and name servers", async () => {
  const [problem] =
    (await found({ status: () => Promise.resolve({ ...WELL, problems: [{ message: "p", hint: null }] }) }))
      .faults;
  assert.equal(problem, "problems of the status: p");
  assert.deepEqual((await found({ aheadMs: 60_000 })).faults, [
    "clocks: Clocks differ from this host's: h2 is 60 s ahead",
  ]);
  const files = { bypassing: () => ({ path: "/etc/x", asks: "192.0.2.53" }) } as never;
  const service = { isNeeded: false } as never;
  const bypassing = (await found({ names: { files, service } })).faults;
  assert.match(bypassing[0]!, /^name servers of namespaces: .* asks 192\.0\.2\.53 for names, not this host/);
});

Deno.test("runningChecks() goes on where one of them fails", async () => {
  const { faults } = await found({
    aheadMs: 60_000,
    taken: { lookAtOwn: () => Promise.reject(new Error("no answer")) },
  });
  assert.deepEqual(faults.map((text) => text.split(":")[0]), ["addresses in use twice", "clocks"]);
});

Deno.test("runningChecks() has servers of others asked before it looks, and names those that make look-ups slow", async () => {
  const done: string[] = [];
  const server = { domain: null, answeredAgoMs: null, silentMs: null, unreachable: false };
  const servers = [
    { ...server, address: "192.0.2.53:53", state: "silent" as const, silentMs: 4_000 },
    { ...server, address: "192.0.2.54:53", state: "answers" as const },
  ];
  const service = {
    isNeeded: true,
    report: (how: unknown) => (done.push(JSON.stringify(how)), Promise.reject(new Error("too busy"))),
  } as never;
  const dns = { resolvConf: "/run/resolv.conf" } as never;
  const config = { dns, docker: undefined, origins: {} };
  const { faults } = await found({
    ...{ names: { files: undefined, service }, config },
    status:
      () => (done.push("status"),
        Promise.resolve({ ...WELL, dns: { ...EXAMPLE.dns!, probed: [], servers } })),
  });
  assert.deepEqual(done, ['{"examine":true}', "status"]);
  assert.deepEqual(faults.length, 1);
  assert.match(
    faults[0]!,
    /^name servers of others: The name server 192\.0\.2\.53, of \/run\/resolv\.conf, does not answer/,
  );
});
