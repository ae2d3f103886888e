import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { ConnUid } from "../../../mod/core/names.ts";
import type { LinkId, OverlayEvent, OverlayRequest } from "../../../mod/core/overlay_port.ts";
import { Dataplane, type DataplaneEffect } from "../../../mod/overlay/dataplane.ts";
import { encodeHeartbeat } from "../../../mod/wire/mesh/heartbeat.ts";
import type { FlowHandle, FlowRecord, PortNo, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import { seededRandom, withSeed } from "../properties.ts";
import { BROADCAST, Cluster } from "./cluster.ts";
import { FAST_EXTENSION } from "../../../mod/overlay/ports/esp_port.ts";
import { hostIp, vport } from "./kernel.ts";
import { OVS_HOST } from "./ovs_host.ts";
import {
  at,
  established,
  kinds,
  LINK,
  local,
  made,
  miss,
  PORTS,
  PREPARE,
  request,
  told,
  topology,
  tunnel,
  UID,
  whyOf,
  works,
} from "./dataplane_made.ts";

Deno.test("Dataplane asks for tunnel ports until they are there", () => {
  const core = made();
  const wanted = { ...PREPARE, outbound: true, remote: { ip: hostIp(2), port: 7000 } };
  assert.deepEqual(request(core, wanted).filter((effect) => effect.kind === "ensure-vxlan"), [
    { kind: "ensure-vxlan", udpPort: 7001 },
  ]);
  topology(core, [1, 2], false);
  request(core, { kind: "confirm", link: LINK });
  const failed = core.step({ kind: "vxlan-failed", udpPort: 7001, reason: "the port is in use" }, at(10));
  assert.equal(whyOf(failed), "no fastdp: cannot open VXLAN port 7001 on this host: the port is in use");
  assert.ok(core.nextWake() <= 5_010);
  assert.ok(kinds(core.step({ kind: "wake" }, at(5_010))).includes("ensure-vxlan"));
  const ready = core.step({ kind: "vxlan-ready", udpPort: 7001, port: 12 as PortNo }, at(5_020));
  assert.ok(kinds(ready).includes("execute"), "the first heartbeat leaves at once");
});

Deno.test("Dataplane establishes a link by heartbeats in both directions", () => {
  const core = made();
  topology(core, [1, 2], false);
  request(core, PREPARE);
  const [beat] = request(core, { kind: "confirm", link: LINK }).filter((effect) => effect.kind === "execute");
  assert.deepEqual(beat?.kind === "execute" && beat.actions, [
    { kind: "tunnel", port: 9, tunnel: { id: 0x2001, src: hostIp(1), dst: hostIp(2) }, df: true },
  ]);
  const key = { ...local(0, 0, 9), tunnel: tunnel(0x1002) };
  const [ack] = told(miss(core, key, 5, encodeHeartbeat(UID, 1376)));
  assert.deepEqual(ack, { kind: "send", link: LINK, message: Uint8Array.of(7, 0, 0) });
  const events = told(request(core, { kind: "control", link: LINK, message: Uint8Array.of(7, 0, 0) }, 8));
  assert.deepEqual(events[0], { kind: "established", link: LINK });
  assert.deepEqual(events[1], {
    kind: "status",
    link: LINK,
    status: { overlay: "fastdp", mtu: 1376, encrypted: false, rttMs: 8, why: undefined },
  });
  for (const frame of [encodeHeartbeat(5n as ConnUid, 1376), encodeHeartbeat(UID, 1376).subarray(0, 900)]) {
    assert.deepEqual(miss(core, key, 9, frame), []);
  }
  assert.equal(core.report(at(9)).counters.dropped["bad-heartbeat"], 2);
});

Deno.test("Dataplane says why a link is not on the fast path, without being asked, and tries on", () => {
  const core = made();
  topology(core, [1, 2], false);
  request(core, PREPARE);
  request(core, { kind: "confirm", link: LINK });
  const effects: DataplaneEffect[] = [];
  while (core.nextWake() <= 300_000) effects.push(...core.step({ kind: "wake" }, at(core.nextWake())));
  assert.match(whyOf(effects)!, /^no fastdp: no answer to full-size VXLAN heartbeats on UDP 6784/);
  assert.equal(told(effects).length, 1, "one change of status, no failure");
  assert.ok(kinds(effects).filter((kind) => kind === "execute").length > 140);
});

Deno.test("Dataplane drops the path of a peer that leaves in order, and holds that of one whose link broke", () => {
  for (const orderly of [true, false]) {
    const core = made();
    established(core);
    miss(core, { ...local(0x22, BROADCAST, 9), tunnel: tunnel(0x1002) }, 4_000);
    miss(core, local(0x10, 0x22), 4_000);
    request(core, { kind: "stop", link: LINK, orderly }, 4_001);
    topology(core, [1, -1], false, 4_002);
    const toPeer = kinds(miss(core, local(0x14, 0x22), 4_003));
    assert.deepEqual(core.report(at(4_004)).held.length, orderly ? 0 : 1);
    assert.deepEqual(toPeer, [orderly ? "execute" : "install"], orderly ? "flooded here" : "sent on");
    if (orderly) continue;
    while (core.nextWake() < 304_001) core.step({ kind: "wake" }, at(core.nextWake()));
    assert.equal(core.report(at(304_000)).held.length, 1);
    core.step({ kind: "wake" }, at(304_001));
    assert.equal(core.report(at(304_001)).held.length, 0);
    assert.deepEqual(core.reconcile(at(304_001)), []);
  }
});

Deno.test("Dataplane keeps the path of a peer whose link is replaced until the new link works", () => {
  const core = made();
  established(core);
  request(core, { kind: "stop", link: LINK, orderly: true }, 4_000);
  request(core, { ...PREPARE, link: 2 as LinkId, connUid: 78n as ConnUid }, 4_000);
  topology(core, [1, 2], false, 4_050);
  const [install] = miss(core, local(0x10, BROADCAST), 4_060);
  assert.ok(install?.kind === "install" && install.actions.some((action) => action.kind === "tunnel"));
  request(core, { kind: "confirm", link: 2 as LinkId }, 4_100);
  works(core, 2 as LinkId, 78n as ConnUid, 4_200);
  assert.deepEqual(kinds(topology(core, [1, 2], true, 4_300)), [], "the same way, now over the link");
  assert.equal(core.report(at(4_300)).held.length, 0);
});

Deno.test("Dataplane sends nothing to and takes nothing from a peer whose traffic must be encrypted", () => {
  const core = made();
  topology(core, [1, 2], false);
  const sealed = { ...PREPARE, protection: { kind: "sealed", sessionKey: new Uint8Array(32) } } as const;
  request(core, sealed);
  assert.match(whyOf(request(core, { kind: "confirm", link: LINK }))!, /^no fastdp: no IPsec here/);
  assert.deepEqual(request(core, { kind: "control", link: LINK, message: Uint8Array.of(7, 0, 0) }), []);
  const beat = { ...local(0, 0, 9), tunnel: tunnel(0x1002) };
  assert.deepEqual(miss(core, beat, 1, encodeHeartbeat(UID, 1376)), []);
  assert.deepEqual(miss(core, { ...local(0x22, BROADCAST, 9), tunnel: tunnel(0x1002) }, 1), []);
  topology(core);
  const flood = miss(core, local(0x10, BROADCAST), 2);
  assert.deepEqual(flood.map((effect) => effect.kind === "install" && effect.actions), [[
    { kind: "output", port: 0 },
  ]]);
  assert.equal(core.report(at(3)).links[0]?.status.overlay, undefined);
});

Deno.test("Dataplane lets no held path lead to an address that now needs encryption", () => {
  const core = made();
  established(core);
  request(core, { kind: "stop", link: LINK, orderly: false }, 10);
  assert.equal(core.report(at(10)).held.length, 1);
  const again = {
    ...PREPARE,
    link: 2 as LinkId,
    protection: { kind: "sealed", sessionKey: new Uint8Array(32) },
  };
  request(core, again as OverlayRequest, 20);
  assert.equal(core.report(at(20)).held.length, 0);
  assert.deepEqual(miss(core, { ...local(0x22, BROADCAST, 9), tunnel: tunnel(0x1002) }, 21), []);
});

Deno.test("Dataplane fails a link only when the overlays have nothing in common", () => {
  const core = made();
  const failed = (change: Partial<typeof PREPARE>) =>
    told(request(core, { ...PREPARE, ...change })).filter((event) => event.kind === "failed").length;
  assert.equal(failed({ theirOverlays: ["sleeve"] }), 1);
  assert.equal(failed({ theirOverlays: undefined }), 1);
  const remote = { ip: "2001:db8::2" as Ip, port: 40_000 };
  assert.equal(failed({ link: 2 as LinkId, local: "2001:db8::1" as Ip, remote }), 0);
  assert.equal(failed({ link: 3 as LinkId, outbound: true, remote: { ip: hostIp(2), port: 65_535 } }), 0);
  const why = core.report(at(0)).links.map((link) => link.status.why!);
  assert.match(why[0]!, /peer's fastdp tunnels run over IPv4 only, and this connection uses 2001:db8::2/);
  assert.match(why[1]!, /65535/);
});

Deno.test("Dataplane has a tunnel over IPv6 where both ends announce it", () => {
  const core = new Dataplane({ ...OVS_HOST, extensions: [FAST_EXTENSION.ipv6] });
  core.step({ kind: "started", ports: PORTS, flows: [] }, at(0));
  const remote = { ip: "2001:db8::2" as Ip, port: 40_000 };
  const wanted = { ...PREPARE, local: "2001:db8::1" as Ip, remote, extensions: [FAST_EXTENSION.ipv6] };
  topology(core, [1, 2], false);
  request(core, wanted);
  const beats = request(core, { kind: "confirm", link: LINK }, 1).filter((effect) =>
    effect.kind === "execute"
  );
  assert.deepEqual(beats.map(({ actions }) => actions), [[
    { kind: "tunnel", port: 9, tunnel: { id: 0x2001, src: "2001:db8::1", dst: "2001:db8::2" } },
  ]], "through the tunnel itself");
});

Deno.test("Dataplane follows a peer whose outer address changes", () => {
  const core = made();
  established(core);
  const key = { ...local(0, 0, 9), tunnel: tunnel(0x1002, hostIp(99)) };
  miss(core, local(0x10, BROADCAST), 1);
  const effects = miss(core, key, 2, encodeHeartbeat(UID, 1376));
  const install = effects.find((effect) => effect.kind === "install");
  assert.equal(
    install?.kind === "install" &&
      install.actions.some((each) => each.kind === "tunnel" && each.tunnel.dst === hostIp(99)),
    true,
  );
});

Deno.test("Dataplane ends a link that carried traffic after a minute without heartbeats", () => {
  const core = made();
  established(core);
  const events: OverlayEvent[] = [];
  while (core.nextWake() <= 61_000) events.push(...told(core.step({ kind: "wake" }, at(core.nextWake()))));
  const failed = events.filter((event) => event.kind === "failed");
  assert.equal(failed.length, 1);
  assert.match(failed[0]!.reason, /^no overlay works: no fastdp: no VXLAN heartbeat/);
});

Deno.test("Dataplane carries addresses over when peers change their short ids", () => {
  const core = made();
  established(core);
  miss(core, { ...local(0x22, BROADCAST, 9), tunnel: tunnel(0x1002) }, 1);
  miss(core, local(0x10, 0x22), 2);
  const effects = topology(core, [1, 7], true, 3);
  const moved = effects.find((effect) => effect.kind === "install" && effect.key.ethDst === 0x22);
  assert.deepEqual(moved?.kind === "install" && moved.actions, [
    { kind: "tunnel", port: 9, tunnel: { id: 0x7001, src: hostIp(1), dst: hostIp(2) } },
  ]);
  assert.deepEqual(core.reconcile(at(4)), []);
});

Deno.test("Dataplane bounds what one container can make grow, and others do not notice", () => {
  const core = made({ flows: 50, flowsPerSource: 20, macsPerPort: 10 });
  core.step({ kind: "port-appeared", port: vport(2, "netdev", "vmn2") }, at(0));
  for (let n = 0; n < 500; n++) miss(core, local(0x1000 + 2 * n, BROADCAST), n);
  for (let n = 0; n < 500; n++) miss(core, local(0x1000, 0x0100_0000_0000 + n), 500 + n);
  const report = core.report(at(1_000));
  assert.equal(report.macs.local, 10);
  assert.ok(report.datapath.flows <= 20, `${report.datapath.flows} flows`);
  assert.ok(report.counters.macLimit >= 490 && report.counters.flowLimit > 0);
  const other = miss(core, local(0x10, BROADCAST, 2), 1_000);
  assert.deepEqual(kinds(other), ["install"]);
  for (let n = 0; n < 50; n++) {
    const more = miss(core, local(0x9000 + 2 * n, BROADCAST), 1_001);
    assert.ok(
      more.some(({ kind }) => kind === "execute" || kind === "install"),
      "its frames still go their way",
    );
  }
  assert.ok(core.report(at(1_002)).datapath.flows <= 21);
});

Deno.test("Dataplane deletes what it cannot read when the grace is over, not before", () => {
  const record = (more: Partial<FlowRecord>): FlowRecord => ({
    ufid: undefined,
    handle: new Uint8Array([1]) as Uint8Array as FlowHandle,
    key: undefined,
    actions: undefined,
    packets: 0,
    bytes: 0,
    usedAt: undefined,
    ...more,
  });
  const foreign = record({});
  const odd = record({ ufid: 40 as Ufid });
  const core = made({}, [foreign, odd]);
  const effects: DataplaneEffect[] = [];
  const until = (end: number) => {
    while (core.nextWake() <= end) {
      const now = at(core.nextWake());
      for (const effect of core.step({ kind: "wake" }, now)) {
        effects.push(effect);
        if (effect.kind === "dump-flows") {
          effects.push(...core.step({ kind: "flows", flows: [foreign, odd] }, now));
        }
      }
    }
  };
  until(59_999);
  assert.deepEqual(kinds(effects), ["dump-flows"]);
  until(60_000);
  assert.equal(kinds(effects).filter((kind) => kind === "delete-foreign").length, 2);
});

Deno.test("Dataplane forgets flows the kernel refused or lost, and deletes those it does not know", () => {
  const core = made();
  const [install] = miss(core, local(0x10, BROADCAST));
  assert.ok(install?.kind === "install");
  core.step({ kind: "install-failed", ufid: install.ufid, reason: "no memory" }, at(1));
  assert.equal(core.report(at(1)).datapath.flows, 0);
  miss(core, local(0x10, BROADCAST));
  while (core.nextWake() <= 120_000) core.step({ kind: "wake" }, at(core.nextWake()));
  const stray = {
    ufid: 999 as Ufid,
    handle: new Uint8Array() as Uint8Array as FlowHandle,
    packets: 0,
    bytes: 0,
  };
  const records = [{ ...stray, key: undefined, actions: undefined, usedAt: undefined }];
  assert.deepEqual(core.step({ kind: "flows", flows: records }, at(120_001)), [{
    kind: "delete",
    ufid: 999,
  }]);
  assert.equal(core.report(at(120_001)).datapath.flows, 0);
});

Deno.test("Dataplane sends a second frame that was already on its way, and later repeats the flow under its id", () => {
  const core = made();
  const [first] = miss(core, local(0x10, BROADCAST));
  const second = miss(core, local(0x10, BROADCAST), 5);
  const [third] = miss(core, local(0x10, BROADCAST), 30);
  assert.ok(first?.kind === "install" && !first.replace);
  const { actions, frame } = first;
  assert.deepEqual(second, [{ kind: "execute", frame, inPort: 1, actions }]);
  assert.deepEqual(third, { ...first, replace: true });
});

Deno.test("Dataplane.reconcile() twice gives nothing", () => {
  const cluster = new Cluster(2);
  cluster.connect(0, 1);
  cluster.send(0, 0 as PortNo, BROADCAST, 0x10);
  for (const host of cluster.hosts) {
    assert.deepEqual(host.core!.reconcile(cluster.now), []);
    assert.deepEqual(host.core!.reconcile(cluster.now), []);
  }
});

Deno.test("Dataplane survives any frames, requests in any order, and never wakes in the past", () => {
  withSeed(() => {
    const random = seededRandom();
    const core = made({ flows: 200, macs: 50 });
    established(core);
    let now = 0;
    for (let step = 0; step < 20_000; step++) {
      now += random.below(50);
      const frame = random.bytes(random.below(80));
      const link = (1 + random.below(4)) as LinkId;
      const inPort = random.below(12);
      const key = local(random.below(40), random.below(3) === 0 ? BROADCAST : random.below(40), inPort);
      const outer = tunnel(
        random.below(2) === 0 ? 0x1002 : random.below(1 << 24),
        hostIp(1 + random.below(4)),
      );
      switch (random.below(10)) {
        case 0:
          request(core, { kind: "control", link, message: random.bytes(random.below(6)) }, now);
          break;
        case 1:
          if (random.below(10) === 0) {
            request(core, { kind: "stop", link, orderly: random.below(2) === 0 }, now);
          } else request(core, { kind: "confirm", link }, now);
          break;
        case 2:
          request(core, { ...PREPARE, link, outbound: random.below(2) === 0 }, now);
          break;
        case 3:
          topology(core, [random.below(5) - 1, random.below(5) - 1], random.below(2) === 0, now);
          break;
        case 4:
          if (random.below(20) === 0) core.step({ kind: "port-removed", port: inPort as PortNo }, at(now));
          else core.step({ kind: "port-appeared", port: PORTS[random.below(3)]! }, at(now));
          break;
        case 5:
          core.step({ kind: "wake" }, at(now));
          break;
        default:
          miss(core, random.below(2) === 0 ? key : { ...key, tunnel: outer }, now, frame);
      }
      const due = core.nextWake();
      if (due > now) continue;
      core.step({ kind: "wake" }, at(now));
      assert.ok(core.nextWake() > now, "a wake leaves nothing due");
    }
    assert.deepEqual(core.reconcile(at(now)), []);
    assert.ok(core.report(at(now)).datapath.flows <= 200);
  });
});
