import assert from "node:assert/strict";
import type { StatusReport } from "../../mod/control/api_types.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { withDaemon } from "./fake_daemon.ts";

/** A status as a daemon gives it that does not know some fields yet. */
function older(): StatusReport {
  const connections = EXAMPLE.connections.map(({ rttAgeMs: _, silentMs: __, ...rest }) => rest);
  const { dns: _, firewall: __, lost: ___, refused: ____, ...rest } = { ...EXAMPLE, connections };
  return rest as unknown as StatusReport;
}

Deno.test("meshnet status shows all pages of an older daemon", () =>
  withDaemon(async (run) => {
    const connections = await run("status", "connections");
    assert.deepEqual([connections.code, connections.stderr], [0, ""]);
    assert.match(connections.stdout, /192\.0\.2\.2:6783 +established +fastdp/);
    assert.doesNotMatch(connections.stdout, /Refused|Lost|silent|undefined|NaN/);
    for (const args of [[], ["peers"], ["targets"], ["ipam"], ["dns"], ["connections", "--json"]]) {
      const { code, stderr } = await run("status", ...args);
      assert.deepEqual([code, stderr], [0, ""], args.join());
    }
    assert.equal((await run("status", "--check")).code, 4);
  }, older()));
