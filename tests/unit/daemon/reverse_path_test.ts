/** What the kernel drops for its way back: told only where a host is not heard, and where packets prove it. */
import assert from "node:assert/strict";
import type { ConnectionReport } from "../../../mod/control/api_types.ts";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import {
  droppedByReversePath,
  type KnockHeard,
  type ReversePathLook,
} from "../../../mod/daemon/checks/reverse_path.ts";
import { droppedIn } from "../../../mod/daemon/checks/reverse_path_shell.ts";
import { EXAMPLE } from "../control/example_status.ts";

const [USUAL] = EXAMPLE.connections as [ConnectionReport];
const LOST: ConnectionReport = {
  ...{ ...USUAL, address: "192.0.2.2:6783", state: "retrying", nickname: null, peer: "p2", silentMs: null },
};
const HEARD: KnockHeard = {
  ...{ at: { ip: "192.0.2.2" as Ip, port: 6783 }, answered: false, arrivedAt: ["eth1"], leavesBy: "eth0" },
};

/** What is found where the kernel drops `more` packets while hosts are knocked at. */
async function found(
  { connections = [LOST], heard = HEARD, more = 1, settings = { all: 1, eth0: 0, eth1: 0 } }: {
    readonly connections?: readonly ConnectionReport[];
    readonly heard?: KnockHeard;
    readonly more?: number;
    readonly settings?: Readonly<Record<string, number>>;
  } = {},
) {
  const knocked: Endpoint[] = [];
  let dropped = 7;
  const look: ReversePathLook = {
    settings: () => new Map(Object.entries(settings)),
    dropped: () => dropped,
    knock(at) {
      knocked.push(...at);
      dropped += more;
      return Promise.resolve([heard]);
    },
  };
  const faults = await droppedByReversePath(
    { connections },
    (peer) => peer === "p2" ? "h2" : undefined,
    look,
  );
  return { faults, knocked: knocked.map(({ ip }) => ip) };
}

Deno.test("droppedByReversePath() names the setting, both interfaces and the fix", async () => {
  assert.deepEqual((await found()).faults, [{
    message:
      "This host drops what h2 (192.0.2.2) sends, as it arrives at eth1 and the route there leads out of eth0: " +
      "net.ipv4.conf.all.rp_filter is 1",
    hint:
      "`sysctl -w net.ipv4.conf.eth1.rp_filter=2` lets it in, and a file in /etc/sysctl.d keeps it so; or have the " +
      "network send it to eth0, or lead the route to 192.0.2.2 out of eth1 (`ip route get 192.0.2.2`)",
  }]);
  const own = await found({ settings: { all: 0, eth0: 1, eth1: 1 } });
  assert.match(own.faults[0]!.message, /: net\.ipv4\.conf\.eth1\.rp_filter is 1$/);
  const silent = { ...LOST, state: "established" as const, nickname: "h2", silentMs: 9_000 };
  assert.equal((await found({ connections: [silent] })).faults.length, 1);
});

Deno.test("droppedByReversePath() knocks at nobody where all are reached, or where nothing is strict", async () => {
  const well = { ...LOST, state: "established" as const };
  const ipv6 = { ...LOST, address: "[2001:db8::2]:6783" };
  for (const connections of [[], [well], [ipv6]]) {
    assert.deepEqual(await found({ connections }), { faults: [], knocked: [] });
  }
  for (const settings of [{ all: 0, eth0: 0, lo: 1 }, { all: 2, eth0: 1 }, { all: 0, default: 1, eth0: 2 }]) {
    assert.deepEqual(await found({ settings }), { faults: [], knocked: [] });
  }
});

Deno.test("droppedByReversePath() finds nothing where a host is only away, answers, or arrives where it should", async () => {
  const nothing: readonly Parameters<typeof found>[0][] = [
    { heard: { ...HEARD, arrivedAt: [] } },
    { heard: { ...HEARD, answered: true } },
    { heard: { ...HEARD, arrivedAt: ["eth0"] } },
    { more: 0 },
    { settings: { all: 0, eth0: 1, eth1: 2 } },
  ];
  for (const one of nothing) {
    assert.deepEqual(await found(one), { faults: [], knocked: ["192.0.2.2"] }, JSON.stringify(one));
  }
});

Deno.test("droppedIn() finds the kernel's count, wherever it stands", () => {
  const text = "TcpExt: SyncookiesSent IPReversePathFilter TW\nTcpExt: 5 42 9\nIpExt: InOctets\nIpExt: 3\n";
  assert.equal(droppedIn(text), 42);
  assert.equal(droppedIn("TcpExt: TW\nTcpExt: 9\n"), 0);
  assert.equal(droppedIn(""), 0);
});
