import assert from "node:assert/strict";
import type { ConnectionReport } from "../../../mod/control/api_types.ts";
import { foreignFilters } from "../../../mod/daemon/checks/foreign_filters.ts";
import { defaultGateways, notForwarded } from "../../../mod/daemon/checks/forwarding.ts";
import { modulesHere } from "../../../mod/daemon/checks/modules.ts";
import { waysTooNarrow } from "../../../mod/daemon/checks/own_ways.ts";
import { unreadableResolvConf } from "../../../mod/daemon/checks/resolv_conf.ts";
import { EXAMPLE } from "../control/example_status.ts";

Deno.test("waysTooNarrow() counts what tunnels add, over IPv4, over IPv6 and sealed", () => {
  const found = (mtu: number | null, change: Partial<ConnectionReport> = {}, carries = 1500) => {
    const one = {
      ...EXAMPLE.connections[0]!,
      state: "established",
      address: "192.0.2.2:6783",
      encrypted: false,
    } as const;
    const connections = [{ ...one, nickname: "h2", ...change }];
    return waysTooNarrow({ connections, datapath: { ...EXAMPLE.datapath, mtu } }, () => carries);
  };
  assert.equal(found(1450), undefined);
  assert.equal(found(1430, { address: "[2001:db8::2]:6783" }), undefined);
  assert.equal(found(1413, { encrypted: true }), undefined);
  for (const healthy of [found(null), found(9000, { state: "pending" }), found(9000, {}, 0)]) {
    assert.equal(healthy, undefined);
  }
  assert.match(found(1451)!.message, /up to 1451 bytes, and this host's way to h2 carries 1500 /);
  assert.match(found(1451)!.hint!, /`meshnet up --mtu 1430`/);
  assert.match(found(1414, { encrypted: true })!.hint!, /--mtu 1393`/);
  assert.ok(found(1431, { address: "[2001:db8::2]:6783" }));
});

const ROUTES = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
ethmesh\t00000000\tFE01020A\t0003\t0\t0\t0\t00000000\t0\t0\t0
ethmesh\t0001020A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
`;

Deno.test("defaultGateways() reads default routes of our interface alone", () => {
  assert.deepEqual(defaultGateways(ROUTES), ["10.2.1.254"]);
  assert.deepEqual(defaultGateways("Iface\n\nethmesh\t00000000\tzz\n"), []);
});

Deno.test("notForwarded() names targets that leave through this host, where it forwards nothing", () => {
  const attachments = [{ ...EXAMPLE.attachments[0]!, target: "netns:a", name: null, attached: true }];
  const exposed = [{ address: "10.2.1.254/24", masquerade: true }];
  const look = { namespaceOf: () => "/x", routes: () => ROUTES, forwards: () => "0" };
  const fault = notForwarded({ attachments, exposed }, look)!;
  assert.match(fault.message, /^netns:a has its default route through this host, which forwards nothing/);
  assert.match(fault.hint!, /`sysctl -w net\.ipv4\.ip_forward=1`/);
  const elsewhere = [{ address: "10.2.1.253/24", masquerade: true }];
  for (
    const healthy of [
      notForwarded({ attachments, exposed: [] }, look),
      notForwarded({ attachments, exposed: elsewhere }, look),
      notForwarded({ attachments, exposed }, { ...look, forwards: () => "1" }),
      notForwarded({ attachments, exposed }, { ...look, namespaceOf: () => undefined }),
      notForwarded({ attachments, exposed }, { ...look, routes: () => undefined }),
      notForwarded({ attachments: [{ ...attachments[0]!, attached: false }], exposed }, look),
    ]
  ) assert.equal(healthy, undefined);
});

Deno.test("foreignFilters() names each with the command that removes it", () => {
  const [fault] = foreignFilters([{ port: "vmn1", kind: "matchall", priority: 5 }]);
  assert.match(fault!.message, /\(matchall, priority 5\) sees what comes from vmn1 before meshnet's/);
  assert.match(fault!.hint!, /`tc filter del dev vmn1 ingress prio 5`/);
  assert.deepEqual(foreignFilters([]), []);
});

Deno.test("unreadableResolvConf() names a file that is not there, and none that says nothing", () => {
  assert.equal(unreadableResolvConf("/x", () => ""), undefined);
  const missing = unreadableResolvConf("/x", () => {
    throw new Deno.errors.NotFound();
  })!;
  assert.match(missing.message, /not answered: \/x \(--resolv-conf\) is not there$/);
  const denied = unreadableResolvConf("/x", () => {
    throw new Error("denied");
  })!;
  assert.match(denied.message, /cannot be read: denied/);
});

Deno.test("modulesHere() reads the kernel's lists of modules once", () => {
  const lists: Record<string, string> = {
    "modules.dep":
      "kernel/net/ipv4/esp4.ko.xz: kernel/net/xfrm/xfrm_algo.ko\nkernel/net/xfrm/xfrm-user.ko:\n",
    "modules.builtin": "kernel/crypto/gcm.ko\n",
  };
  let reads = 0;
  const read = (path: string) => {
    reads++;
    return lists[path.replace(/^.*\//, "")];
  };
  const canLoad = modulesHere(read);
  assert.deepEqual(["esp4", "xfrm_user", "gcm", "xfrm_algo"].map((one) => canLoad(one)), [
    true,
    true,
    true,
    false,
  ]);
  assert.equal(reads, 2);
  assert.equal(modulesHere(() => undefined)("esp4"), false);
});
