/** A fast path whose peer says nothing any more. */
import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { ConnUid } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { FastdpLink } from "../../../../mod/overlay/links/fastdp_link.ts";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";

const at = (ms: number) => ms as Millis;
const REMOTE = "192.0.2.2" as Ip;
const ACK = new Uint8Array(0);
const OPTIONS = {
  ...{ connUid: 1n as ConnUid, local: "192.0.2.1" as Ip, remote: REMOTE, udpPort: 6784, mtu: 1376 },
};

Deno.test("FastdpLink that falls silent may be used as the last resort, unless the peer says that it is deaf", () => {
  for (const options of [{ beat: true, here: true }, { beat: true }] as const) {
    const link = new FastdpLink({ ...OPTIONS, ...options });
    link.setTunnel({ port: 1 as PortNo, vni: 0x2001 as Vni }, at(0));
    link.confirm(at(0));
    link.heard(REMOTE, at(1), { promise: 800, full: true, fullPromise: 1_600 });
    link.control(0, ACK, at(1));
    assert.deepEqual([link.lastResort], [undefined], "it works");
    while (link.nextWake() <= 10_000) link.wake(at(link.nextWake()));
    assert.ok(link.onHold);
    const can = "here" in options;
    assert.deepEqual([link.lastResort?.kind, link.lostAt], [can ? "tunnel" : undefined, 2_401]);
    assert.deepEqual([link.hereAt], [-Infinity]);
    link.control(4, ACK, at(10_001));
    assert.deepEqual([link.hereAt], [10_001]);
    const answer = link.control(2, ACK, at(10_002)).filter(({ kind }) => kind === "control");
    assert.deepEqual(answer, can ? [{ kind: "control", tag: 4, payload: ACK }] : [], "who asks is told");
    assert.deepEqual([link.lastResort, link.hereAt], [undefined, 10_002]);
  }
});
