/** The data plane against hostile containers, peers and whoever reaches its UDP ports. */
import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { ConnUid } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Random } from "../../../mod/core/ports.ts";
import { MOVE_INTERVAL_MS } from "../../../mod/overlay/links/beats.ts";
import { MAX_KEPT_STATES } from "../../../mod/overlay/paths/network.ts";
import { MAX_TUNNEL_PORTS } from "../../../mod/overlay/paths/vxlan_ports.ts";
import type {
  FlowAction,
  FlowHandle,
  FlowKey,
  FlowRecord,
  PortNo,
  Ufid,
} from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { seededRandom, withSeed } from "../properties.ts";
import { frameOf, hostIp, vport } from "./kernel.ts";
import { at, LIMITS, localKey, PEERS, PORTS, prepareOf, SEALED, tunnelKey, Victim, VXLAN } from "./victim.ts";

/** One random event of the worst kind. */
function attack(victim: Victim, random: Random): void {
  const pick = <T>(items: readonly T[]) => items[random.below(items.length)]!;
  const mac = () =>
    pick([0, 0xffff_ffff_ffff, 0x0180_c200_0000, random.below(2 ** 48), 2 + 4 * random.below(300)]);
  const link = () => 1 + random.below(12);
  const what = random.below(1000);
  if (what < 400) {
    const key = localKey(random.below(12), mac(), mac());
    victim.step({
      kind: "miss",
      miss: { key, frame: random.below(20) === 0 ? new Uint8Array(9) : frameOf(0, 0) },
    });
  } else if (what < 800) {
    const short = () => random.below(4) === 0 ? random.below(4096) : 1 + random.below(7);
    const key = tunnelKey(short(), short(), hostIp(random.below(9)), mac(), mac());
    const inPort = (random.below(8) === 0 ? random.below(12) : VXLAN) as PortNo;
    victim.step({ kind: "miss", miss: { key: { ...key, inPort }, frame: frameOf(0, 0) } });
  } else if (what < 850) {
    victim.heartbeat(BigInt(1000 + random.below(16)), hostIp(random.below(9)), 1 + random.below(7));
  } else if (what < 880) {
    const peer = 1 + random.below(5);
    const request = prepareOf(link(), peer);
    const isSealed = peer % 2 === 0; // those are under the protection of a password
    const theirOverlays = pick([["fastdp"], ["sleeve", "fastdp"], [], undefined, ["x".repeat(5_000)]]);
    victim.request({
      ...request,
      ...(isSealed ? SEALED : {}),
      outbound: random.below(4) === 0,
      theirOverlays,
    });
  } else if (what < 910) victim.request({ kind: "confirm", link: link() as LinkId });
  else if (what < 940) {
    victim.request({ kind: "control", link: link() as LinkId, message: random.bytes(random.below(6)) });
    victim.request({
      kind: "control",
      link: link() as LinkId,
      message: Uint8Array.of(7, random.below(3), 0),
    });
  } else if (what < 950) {
    victim.request({ kind: "stop", link: link() as LinkId, orderly: random.below(2) === 0 });
  } else if (what < 965) {
    const shortIds = PEERS.map((_, i) => pick([i + 1, i + 1, i + 1, -1, 1 + random.below(7)]));
    const own = new Set<number>();
    const owned = shortIds.map((short) => own.has(short) || !own.add(short) ? -1 : short);
    const edges = Array.from({ length: random.below(12) }, () => [random.below(6), random.below(6)] as const);
    victim.topology(owned, edges.filter(([a, b]) => a !== b));
  } else if (what < 975) {
    const port = random.below(2) === 0
      ? vport(random.below(12), "netdev", `vmn${random.below(5)}`)
      : vport(VXLAN, "vxlan", "vxlan-6784", 6784);
    victim.step({ kind: "port-appeared", port });
  } else if (what < 980) victim.step({ kind: "port-removed", port: random.below(12) as PortNo });
  else if (what < 985) {
    const ufid = 1 + random.below(20_000) as Ufid;
    victim.flows.delete(ufid);
    victim.step({ kind: "install-failed", ufid, reason: "out of memory" });
  } else if (what < 988) {
    const udpPort = 6784 + random.below(4);
    victim.step(
      random.below(2) === 0
        ? { kind: "vxlan-failed", udpPort, reason: "in use" }
        : { kind: "vxlan-ready", udpPort, port: VXLAN },
    );
  } else {
    victim.now += random.below(3) === 0 ? random.below(20_000) : random.below(50);
    victim.step({ kind: "wake" });
  }
}

Deno.test("Dataplane stays within bounds and its flows right, whatever containers, peers and strangers send", () => {
  withSeed(() => {
    const random = seededRandom();
    const victim = new Victim();
    victim.topology([1, 2, 3, 4, 5, 6], [[0, 1], [0, 3]]);
    victim.establish(100, 1);
    victim.establish(101, 3);
    for (let i = 0; i < 100_000; i++) {
      attack(victim, random);
      if (i % 500 === 0) victim.verify();
      assert.ok(victim.core.nextWake() > -Infinity);
    }
    victim.verify();
    // When it is over, the port of an innocent works as ever.
    victim.now += 700_000;
    victim.step({ kind: "flows", flows: [] });
    victim.flows.clear();
    for (const port of PORTS) victim.step({ kind: "port-appeared", port });
    victim.step({ kind: "miss", miss: { key: localKey(1, 0xa2, 0xa6), frame: frameOf(0xa6, 0xa2) } });
    const key = localKey(2, 0xa6, 0xa2);
    const effects = victim.step({ kind: "miss", miss: { key, frame: frameOf(0xa2, 0xa6) } });
    const installed = effects.flatMap((effect) => effect.kind === "install" ? [effect.actions] : []);
    assert.deepEqual(installed, [[{ kind: "output", port: 1 }]]);
  });
});

Deno.test("Dataplane lets no forged heartbeat move a link, and a true one not often", () => {
  const victim = new Victim();
  victim.topology([1, 2, 3], [[0, 1], [0, 2]]);
  victim.establish(1, 1);
  victim.establish(2, 2, SEALED);
  victim.heartbeat(1001n, hostIp(2), 2);
  victim.now = MOVE_INTERVAL_MS;
  const forgeries: readonly (readonly [what: string, uid: bigint, source: Ip, origin: number])[] = [
    ["number of no connection", 5n, hostIp(7), 2],
    ["number of another connection", 1002n, hostIp(7), 3],
    ["right number, other origin", 1001n, hostIp(7), 3],
    ["right in all, from the address of a link that must be encrypted", 1001n, hostIp(3), 2],
  ];
  for (const [what, uid, source, origin] of forgeries) {
    assert.deepEqual(victim.heartbeat(uid, source, origin), [], what);
    assert.equal(victim.remote(1), hostIp(2), what);
  }
  assert.equal(victim.core.report(at(victim.now)).counters.dropped["bad-heartbeat"], forgeries.length);
  victim.heartbeat(1001n, hostIp(7), 2);
  assert.equal(victim.remote(1), hostIp(7), "the peer has moved");
  victim.heartbeat(1001n, hostIp(8), 2);
  assert.equal(victim.remote(1), hostIp(7), "not again at once");
  victim.now += MOVE_INTERVAL_MS;
  victim.heartbeat(1001n, hostIp(8), 2);
  assert.equal(victim.remote(1), hostIp(8));
});

Deno.test("Dataplane lets no later link take over the number of another", () => {
  const victim = new Victim();
  victim.topology([1, 2, 3], [[0, 1], [0, 2]]);
  victim.establish(1, 1);
  victim.establish(2, 2, { connUid: 1001n as ConnUid });
  victim.request({ ...prepareOf(1, 2), connUid: 5n as ConnUid }); // a number that is in use already
  const [one, two] = victim.core.report(at(victim.now)).links;
  assert.deepEqual([one!.status.overlay, two!.status.overlay], ["fastdp", undefined]);
  victim.request({ kind: "stop", link: 2 as LinkId, orderly: false });
  victim.now = MOVE_INTERVAL_MS;
  victim.heartbeat(1001n, hostIp(7), 2);
  assert.equal(victim.remote(1), hostIp(7));
});

Deno.test("Dataplane makes few tunnel ports, however many the peers name that we dial", () => {
  const victim = new Victim();
  victim.topology([1, 2], []);
  const asked = new Set<number>();
  for (let i = 0; i < 2_000; i++) {
    const remote = { ip: hostIp(2), port: 10_000 + i };
    const request = { ...prepareOf(10 + i, 1), outbound: true, remote };
    for (const effect of victim.request(request)) {
      if (effect.kind === "ensure-vxlan") asked.add(effect.udpPort);
    }
    victim.request({ kind: "stop", link: request.link, orderly: true });
  }
  assert.ok(asked.size <= MAX_TUNNEL_PORTS, `${asked.size} ports`);
  const last = { ...prepareOf(9_999, 1), outbound: true, remote: { ip: hostIp(2), port: 60_000 } };
  victim.request(last);
  victim.request({ kind: "confirm", link: last.link });
  const [link] = victim.core.report(at(0)).links;
  assert.match(
    link?.status.why ?? "",
    /^no fastdp: this host has 64 VXLAN ports already, 60001 would be another/,
  );
});

Deno.test("Dataplane leaves local ports a share of flows and addresses that peers cannot take", () => {
  const victim = new Victim({ flows: 100, flowsPerSource: 100, macs: 80, macsPerPort: 20, macsPerPeer: 80 });
  victim.topology([1, 2, 3, 4, 5, 6], [[0, 1], [1, 2], [1, 3], [1, 4], [1, 5]]);
  victim.establish(1, 1);
  for (let i = 0; i < 2_000; i++) {
    const key = tunnelKey(2 + i % 5, 1, hostIp(2), 0x1000 + 4 * i, 0xffff_ffff_ffff);
    victim.step({ kind: "miss", miss: { key, frame: frameOf(0, 0) } });
  }
  const { datapath, macs } = victim.core.report(at(0));
  assert.deepEqual([datapath.flows, macs.remote], [60, 60]);
  for (let i = 0; i < 2_000; i++) { // known addresses, other destinations
    const key = tunnelKey(2 + i % 5, 1, hostIp(2), 0x1000 + 4 * (i % 60), 0x0100_5e00_0000 + i);
    victim.step({ kind: "miss", miss: { key, frame: frameOf(0, 0) } });
  }
  assert.equal(victim.core.report(at(0)).datapath.flows, 75);
  victim.step({ kind: "miss", miss: { key: localKey(1, 0xa2, 0xffff_ffff_ffff), frame: frameOf(0, 0) } });
  assert.equal(victim.core.report(at(0)).datapath.flows, 76);
});

Deno.test("Dataplane keeps few old states of the mesh, however often peers come and go", () => {
  const held = (victim: Victim) => victim.core.report(at(victim.now)).held.length;
  const victim = new Victim();
  victim.topology([1, 2], [[0, 1]]);
  victim.establish(1, 1);
  for (let i = 0; i < 200; i++) {
    victim.now += 100;
    victim.topology([1, 2, 10 + i], [[0, 1], [1, 2]]);
    victim.now += 100;
    victim.topology([1, 2], [[0, 1]]);
  }
  assert.ok(held(victim) <= MAX_KEPT_STATES, `${held(victim)} held`);
});

Deno.test("Dataplane keeps no flow of an earlier run to or from an address that must be encrypted now", () => {
  const flow = (ufid: number, key: FlowKey, actions: readonly FlowAction[]): FlowRecord => ({
    ufid: ufid as Ufid,
    handle: new Uint8Array() as Uint8Array as FlowHandle,
    key,
    actions,
    packets: 1,
    bytes: 1,
    usedAt: undefined,
  });
  const out = (peer: number): FlowAction => ({
    kind: "tunnel",
    port: VXLAN,
    tunnel: { id: (1 | (peer + 1) << 12) as Vni, src: hostIp(1), dst: hostIp(peer + 1) },
  });
  const victim = new Victim(LIMITS, [
    flow(1, localKey(1, 0xa2, 0xb2), [out(1)]),
    flow(2, tunnelKey(2, 1, hostIp(2), 0xb2, 0xa2), [{ kind: "output", port: 1 as PortNo }]),
    flow(3, localKey(1, 0xa2, 0xc2), [out(2)]),
    flow(4, tunnelKey(3, 1, hostIp(3), 0xc2, 0xa2), [{ kind: "output", port: 1 as PortNo }]),
  ]);
  assert.equal(victim.flows.size, 4);
  victim.request({ ...prepareOf(1, 1), ...SEALED });
  victim.request({ kind: "confirm", link: 1 as LinkId });
  assert.deepEqual([...victim.flows.keys()].sort(), [3, 4]);
  assert.deepEqual(
    victim.step({
      kind: "miss",
      miss: { key: tunnelKey(2, 1, hostIp(2), 0xb2, 0xa2), frame: frameOf(0, 0) },
    }),
    [],
  );
});

Deno.test("Dataplane decides floods again once it has a short id, and when a port's number means another port", () => {
  const victim = new Victim();
  const key = localKey(1, 0xa2, 0xffff_ffff_ffff);
  victim.step({ kind: "miss", miss: { key, frame: frameOf(0, 0) } });
  victim.topology([-1, 2], [[0, 1]]);
  victim.topology([1, 2], [[0, 1]]);
  victim.establish(1, 1);
  const targets = () => [...victim.flows.values()].flatMap(({ actions }) => actions.map(({ port }) => port));
  assert.deepEqual(targets(), [0, 2, 3, VXLAN]);
  victim.step({ kind: "port-appeared", port: vport(3, "vxlan", "vxlan-7001", 7001) });
  assert.deepEqual(targets(), [0, 2, VXLAN]);
  victim.verify();
});
