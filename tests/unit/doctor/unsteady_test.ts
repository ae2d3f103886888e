import assert from "node:assert/strict";
import { parseIp } from "../../../mod/core/addr.ts";
import type { HistoryReport } from "../../../mod/control/history_types.ts";
import { unsteadyWay, unsteadyWays } from "../../../mod/doctor/unsteady.ts";

const NOW = Date.parse("2026-01-31T12:00:00.000Z");
const SILENT =
  "no fastdp: no VXLAN heartbeat from the peer for 2.4 s on UDP 6784: a firewall blocks it, or the path";
const GONE =
  "no overlay works: no fastdp: the peer gets no VXLAN heartbeat; no sleeve: the peer has not answered for 2 s";

const at = (
  secondsAgo: number,
  reason: string | null,
  change: Partial<HistoryReport> = {},
): HistoryReport => ({
  at: new Date(NOW - secondsAgo * 1_000).toISOString(),
  ...{ event: "overlay", peer: "02:00:00:00:00:02", nickname: "h2", target: null, address: "192.0.2.2:6783" },
  ...{ overlay: reason === null ? "fastdp" : "sleeve", reason, leftOut: 0, ...change },
});
/** Fails so many seconds ago, and works again at once. */
const falls = (...seconds: readonly number[]) =>
  seconds.flatMap((one) => [at(one, SILENT), at(one - 1, null)]);
const found = (
  ...history: readonly HistoryReport[]
) => [...unsteadyWays(history, (at) => NOW - Date.parse(at)).values()];

Deno.test("unsteadyWays() names a way that fails again and again, once, with what counts the loss", () => {
  const gone = at(5, GONE, { event: "disconnected", overlay: null });
  const [fault, ...more] = found(...falls(50, 40, 20), gone);
  assert.deepEqual(more, []);
  assert.equal(
    fault!.message,
    "The way to h2 (192.0.2.2) loses packets: it failed 4 times within a minute and worked again",
  );
  assert.match(fault!.hint!, /^`ping -i 0\.2 -c 50 192\.0\.2\.2` counts/);
});

Deno.test("unsteadyWays() names it until the way has been steady for a minute", () => {
  for (const seconds of [[61, 60, 59, 2], [110, 90, 70, 55], [110, 90, 70, 55, 54.5, 3], [62, 61, 60, 59]]) {
    assert.match(found(...falls(...seconds))[0]?.message ?? "", /it failed [45] times/, seconds.join());
  }
});

Deno.test("unsteadyWays() takes a fault that somebody mends, a restart and old failures for none", () => {
  const testing = "no fastdp: testing the path with full-size VXLAN heartbeats on UDP 6784";
  const large =
    "no fastdp: no full-size VXLAN heartbeat from the peer any more, though small ones arrived: the path";
  const stopped = at(5, "the peer closed the connection", { event: "disconnected" });
  const other = at(10, SILENT, { peer: "02:00:00:00:00:03" });
  for (
    const history of [
      [],
      falls(50, 40, 20),
      falls(122, 121.5, 121, 50, 40, 20),
      falls(100, 90, 80, 61),
      [...falls(50, 40, 20), other],
      [...falls(50, 40, 20), stopped, stopped],
      [1, 2, 3, 4, 5].map((n) => at(n, testing)),
      [1, 2, 3, 4, 5].map((n) => at(n, large)),
    ]
  ) assert.deepEqual(found(...history), [], JSON.stringify(history));
});

Deno.test("unsteadyWay() knows who was last at an address while there is no connection", () => {
  const history = falls(50, 40, 30, 20);
  const said = (ip: string, peer?: string) =>
    unsteadyWay(history, { ip: parseIp(ip)!, peer }, (at) => NOW - Date.parse(at))?.message ?? "";
  assert.match(said("192.0.2.2"), /^The way to h2 .* loses packets/);
  assert.match(said("192.0.2.9", "02:00:00:00:00:02"), /^The way to h2 .* loses packets/);
  assert.deepEqual([said("192.0.2.9"), said("192.0.2.2", "02:00:00:00:00:03")], ["", ""]);
});
