import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { ConnUid } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { FastdpLink } from "../../../../mod/overlay/links/fastdp_link.ts";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";

const at = (ms: number) => ms as Millis;
const TUNNEL = { port: 1 as PortNo, vni: 0x2001 as Vni };
const IPV4 = { local: "192.0.2.1" as Ip, remote: "192.0.2.2" as Ip };
const IPV6 = { local: "2001:db8::1" as Ip, remote: "2001:db8::2" as Ip };

/** A link that has sent its first heartbeat, and that heartbeat's action. */
function confirmed(ends: typeof IPV4, mtu = 1376) {
  const link = new FastdpLink({ connUid: 1n as ConnUid, udpPort: 6784, mtu, ...ends });
  link.setTunnel(TUNNEL, at(0));
  const [beat] = link.confirm(at(0));
  return { link, action: beat?.kind === "frame" ? beat.action : undefined };
}

Deno.test("FastdpLink sends from an address of the family to which its peer has moved", () => {
  const { link } = confirmed(IPV4);
  link.heard("2001:db8::9" as Ip, at(2_000));
  assert.deepEqual([link.remote, link.path?.local], ["2001:db8::9", "::"]);
  link.heard(IPV4.remote, at(4_000));
  assert.deepEqual([link.remote, link.path?.local], [IPV4.remote, IPV4.local]);
});

Deno.test("FastdpLink over IPv6 proves the path through the tunnel itself, whose packets the kernel never cuts", () => {
  const tunnel = (ends: typeof IPV4) => ({ id: 0x2001, src: ends.local, dst: ends.remote });
  assert.deepEqual(confirmed(IPV4).action, { kind: "tunnel", port: 1, tunnel: tunnel(IPV4), df: true });
  assert.deepEqual(confirmed(IPV6).action, { kind: "tunnel", port: 1, tunnel: tunnel(IPV6) });
});

Deno.test("FastdpLink over IPv6 says how long its packets are: 20 octets more", () => {
  const why = (ends: typeof IPV4, mtu?: number) => {
    const { link } = confirmed(ends, mtu);
    link.wake(at(60_000));
    return link.why(at(60_000))!;
  };
  assert.match(why(IPV4), /less than 1426 bytes/);
  assert.match(why(IPV6), /less than 1446 bytes/);
  assert.match(why(IPV6, 1430), /less than 1500 bytes$/);
  assert.match(
    why(IPV6, 1447),
    /less than 1517 bytes \(1500 are enough if all hosts start with --mtu 1430\)$/,
  );
});
