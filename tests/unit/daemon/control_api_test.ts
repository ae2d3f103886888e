import assert from "node:assert/strict";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import type { Config } from "../../../mod/daemon/config/config.ts";
import { controlApi, type ControlParts } from "../../../mod/daemon/control_api.ts";
import type { Ending } from "../../../mod/daemon/ending.ts";

/** Parts that write down what they are asked. */
function fakeParts(asked: unknown[]) {
  const targets: string[] = ["host2"];
  const snapshot = {
    targets: targets.map((target) => ({ target })),
    connections: [
      { state: "established", overlay: "sleeve" },
      { state: "established", overlay: "fastdp" },
      { state: "pending", overlay: "sleeve" },
    ],
    ...{ peers: [], refused: [] },
    protocol: { min: 1, max: 2 },
  };
  const note = <T>(name: string, value: T) => (...args: unknown[]) => (asked.push([name, ...args]), value);
  const report = {
    datapath: { kind: "ovs", mtu: 1410, ports: [], stopped: [], flows: 0 },
    kernel: { lost: 0 },
    links: [],
    traffic: [],
  };
  return {
    config: {
      stateDir: "/var/lib/meshnet",
      origins: { port: { value: "6783", from: "default" } },
    } as unknown as Config,
    router: {
      snapshot: () => snapshot,
      routes: () => ({ unicast: [], broadcast: [] }),
      retarget: note("retarget", undefined),
    },
    originOf: () => "--peers",
    history: { list: () => [], lost: () => [] },
    dataplane: { report: () => Promise.resolve(report) },
    stateWasLost: false,
    firewall: () => ({ mode: "auto", rules: [], undone: 0, undoneAgoMs: null, problems: [] }),
    attachments: { unknown: () => [], list: () => [] },
    members: undefined,
    taken: { problems: () => [] },
    lookupProblem: () => undefined,
    containers: {
      report: () => null,
      problems: () => [],
      attach: note("attach", Promise.resolve("attached")),
      detach: note("detach", Promise.resolve("detached")),
    },
    exposing: {
      expose: note("expose", Promise.resolve("exposed")),
      hide: note("hide", Promise.resolve("hidden")),
      report: () => [],
    },
    exposedProblem: () => undefined,
    ipam: undefined,
    clock: { now: () => 5000 },
    touched: note("touched", undefined),
    end: note("end", undefined) as (how: Ending) => void,
  } as unknown as ControlParts;
}

Deno.test("controlApi() passes requests on and looks after attachments again", async () => {
  const asked: unknown[] = [];
  const api = controlApi(fakeParts(asked));
  assert.deepEqual(api.connect({ targets: ["a"], replace: true }), { targets: ["host2"] });
  api.forget({ targets: ["host2"] });
  const request = { target: "netns:a", addresses: [], force: false, noWait: false, timeoutMs: 60_000 };
  const gone = () => new AbortController().signal;
  assert.equal(await api.attach(request, gone), "attached");
  assert.equal(await api.detach(request), "detached");
  assert.equal(await api.hide({ addresses: ["x"] }), "hidden");
  assert.deepEqual(asked, [
    ["retarget", { connect: ["a"], replace: true }],
    ["retarget", { forget: ["host2"] }],
    ["attach", request, gone],
    ["touched"],
    ["detach", request],
    ["touched"],
    ["hide", ["x"]],
    ["touched"],
  ]);
});

Deno.test("controlApi() refuses to forget what is no target", () => {
  const asked: unknown[] = [];
  assert.throws(
    () => controlApi(fakeParts(asked)).forget({ targets: ["host2", "host9"] }),
    (error: MeshnetError) => {
      assert.deepEqual([error.code, error.hint], ["peer/unknown", "Targets are: host2"]);
      return true;
    },
  );
  assert.deepEqual(asked, []);
});

Deno.test("controlApi() reports configuration with origins, host facts and inner state", async () => {
  const report = await controlApi(fakeParts([])).report();
  assert.deepEqual(report.config, { port: { value: "6783", from: "default" } });
  assert.deepEqual(Object.keys(report.details).sort(), [
    "dataplane",
    "ipam",
    "memory",
    "mesh",
    "names",
    "routes",
  ]);
  assert.equal(typeof report.host["kernel"], "string");
  assert.equal(report.status.uptimeMs, 5000);
});

Deno.test("controlApi() tells who is reached through the daemon, and then ends it", async () => {
  const asked: unknown[] = [];
  const answer = { pid: Deno.pid, peersThroughDaemon: 1, answeredNames: false };
  assert.deepEqual(controlApi(fakeParts(asked)).stop({ forGood: false }), answer);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(asked, [["end", { kind: "asked", by: "control socket" }]]);
});

Deno.test("controlApi() tells whether containers lose their name server by the end", async () => {
  const stopped = (address: string | undefined, attached: readonly unknown[]) =>
    controlApi({
      ...fakeParts([]),
      names: { forContainers: () => ({ address, problem: undefined, hint: undefined }) },
      attachments: { list: () => attached },
    } as unknown as ControlParts).stop({ forGood: false }).answeredNames;
  assert.deepEqual(
    [stopped("169.254.53.53", [{}]), stopped("169.254.53.53", []), stopped(undefined, [{}])],
    [true, false, false],
  );
  await new Promise((resolve) => setTimeout(resolve, 0));
});
