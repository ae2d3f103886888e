import assert from "node:assert/strict";
import type { StatusReport } from "../../mod/control/api_types.ts";
import type { ControlApi } from "../../mod/control/routes.ts";
import { startControlServer } from "../../mod/control/server.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { assertSnapshot, meshnet, withFolder } from "./run_meshnet.ts";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const asked: unknown[] = [];
const api: ControlApi = {
  status: () => EXAMPLE,
  report: () => ({ status: EXAMPLE, config: {}, host: {}, details: {} }),
  daemon: () => ({ pid: 1, stateDir: "/nonexistent", netns: "net:[1]" }),
  connect: (request) => (asked.push(request), { targets: request.targets }),
  forget: (request) => (asked.push(request), { targets: [] }),
  attach: (
    request,
  ) => (asked.push(request), { ...request, attachment: EXAMPLE.attachments[0]!, warnings: ["w"] }),
  detach: (request) => (asked.push(request), { ...request, attachment: null, warnings: [] }),
  stop: () => ({ pid: 1, peersThroughDaemon: 0 }),
};

/** Runs `test` beside a daemon that answers with the example. */
function withDaemon(
  test: (run: (...args: string[]) => ReturnType<typeof meshnet>) => Promise<void>,
): Promise<void> {
  return withFolder(async (runDir) => {
    await using _server = await startControlServer(api, { runDir, logger: quiet });
    await test((...args) => meshnet(args, { MESHNET_RUN_DIR: runDir }));
  });
}

Deno.test("meshnet version --json has the version", async () => {
  const { code, stdout } = await meshnet(["version", "--json"]);
  assert.equal(code, 0);
  assert.match(JSON.parse(stdout).version, /^[0-9]+\.[0-9]+\.[0-9]+$/);
});

Deno.test("meshnet status --json prints the contract's shape, and each page its part", () =>
  withDaemon(async (run) => {
    const whole = await run("status", "--json");
    assert.equal(whole.code, 0);
    const report: StatusReport = JSON.parse(whole.stdout);
    assert.deepEqual(report, EXAMPLE);
    for (const page of ["connections", "peers"] as const) {
      assert.deepEqual(JSON.parse((await run("status", page, "--json")).stdout), report[page]);
    }
    assert.deepEqual(JSON.parse((await run("status", "targets", "--json")).stdout), report.targetStates);
    assert.deepEqual(JSON.parse((await run("report")).stdout).status, EXAMPLE);
  }));

Deno.test("meshnet status prints pages for people", () =>
  withDaemon(async (run) => {
    await assertSnapshot("status", (await run("status")).stdout);
    for (const page of ["connections", "peers", "targets"]) {
      await assertSnapshot(`status-${page}`, (await run("status", page)).stdout);
    }
  }));

Deno.test("meshnet connect, forget, attach and detach send what was typed", () =>
  withDaemon(async (run) => {
    asked.length = 0;
    const connect = await run("connect", "a", "b:7000", "--replace");
    assert.match(connect.stdout, /^Connecting; 2 targets: a, b:7000\n/);
    await run("forget", "a");
    const attach = await run("attach", "10.2.1.1/24", "netns:web");
    assert.equal(attach.stderr, "warning: w\n");
    assert.equal(attach.stdout, "netns:web: ethmesh has 10.2.1.1/24\n");
    const detach = await run("detach", "netns:web", "--json");
    assert.equal(JSON.parse(detach.stdout).attachment, null);
    assert.deepEqual(asked, [
      { targets: ["a", "b:7000"], replace: true },
      { targets: ["a"] },
      { target: "netns:web", addresses: ["10.2.1.1/24"] },
      { target: "netns:web", addresses: [] },
    ]);
  }));
