/** Sealed links of whole data planes: they carry traffic, and nothing ever goes in clear. */
import assert from "node:assert/strict";
import { FAST_EXTENSION } from "../../../../mod/overlay/ports/esp_port.ts";
import { REKEY_MS } from "../../../../mod/overlay/links/esp_session.ts";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { seededRandom, withSeed } from "../../properties.ts";
import { BROADCAST, Cluster } from "../cluster.ts";

/** Two linked hosts with a container each that have found each other. */
function pair(extensions: readonly string[] = []): { cluster: Cluster; ports: readonly [PortNo, PortNo] } {
  const cluster = new Cluster(2, { extensions });
  cluster.sealed = true;
  const ports = [cluster.attach(0), cluster.attach(1)] as const;
  cluster.connect(0, 1);
  assert.deepEqual(cluster.send(0, ports[0], BROADCAST, 0xa0).filter((at) => at.startsWith("1:")).length, 2);
  return { cluster, ports };
}

/** Whether a frame of the first host's container reaches that of the second. */
function reaches(cluster: Cluster, ports: readonly [PortNo, PortNo]): boolean {
  cluster.send(1, ports[1], BROADCAST, 0xb0);
  return cluster.send(0, ports[0], 0xb0, 0xa0).includes(`1:${ports[1]}`);
}

Deno.test("a sealed link carries frames, and says that it is encrypted", () => {
  const { cluster, ports } = pair();
  assert.ok(reaches(cluster, ports));
  const [link] = cluster.hosts[0]!.core!.report(cluster.now).links;
  assert.deepEqual([link?.status.overlay, link?.status.encrypted], ["fastdp", true]);
  assert.equal(cluster.clear, 0);
  cluster.check();
});

Deno.test("a sealed link carries frames on while one router is dead, and after its return", () => {
  const { cluster, ports } = pair();
  assert.ok(reaches(cluster, ports));
  const flows = cluster.hosts[0]!.kernel.flows.size;
  cluster.crash(0);
  cluster.advance(1_000);
  assert.ok(cluster.send(0, ports[0], 0xb0, 0xa0).length > 0, "the kernels forward on");
  cluster.boot(0);
  cluster.publish();
  assert.equal(cluster.hosts[0]!.kernel.flows.size, flows, "adopted");
  cluster.connect(0, 1);
  assert.ok(reaches(cluster, ports));
  cluster.advance(120_000);
  assert.ok(reaches(cluster, ports));
  assert.equal(cluster.clear, 0);
});

Deno.test("a sealed link that ended in order leaves nothing that could go in clear", () => {
  const { cluster, ports } = pair();
  assert.ok(reaches(cluster, ports));
  cluster.disconnect(0, 1, true);
  assert.equal(reaches(cluster, ports), false);
  cluster.advance(60_000);
  assert.equal(reaches(cluster, ports), false);
  for (const { ipsec } of cluster.hosts) assert.deepEqual([...ipsec.guards, ...ipsec.sas], []);
  assert.equal(cluster.clear, 0);
});

Deno.test("a sealed link gets new keys under traffic", () => {
  const { cluster, ports } = pair([FAST_EXTENSION.rekey]);
  const before = cluster.hosts[0]!.ipsec.guards.get(cluster.hosts[1]!.ip);
  for (let hour = 0; hour <= REKEY_MS / 3_600_000 + 1; hour++) {
    cluster.advance(3_600_000);
    assert.ok(reaches(cluster, ports));
  }
  const { guards, sas } = cluster.hosts[0]!.ipsec;
  assert.equal(sas.size, 2);
  assert.notEqual(guards.get(cluster.hosts[1]!.ip), before);
  assert.equal(cluster.clear, 0);
});

Deno.test("without IPsec a sealed link says so, and nothing leaves in clear", () => {
  const cluster = new Cluster(2);
  cluster.sealed = true;
  Object.assign(cluster.hosts[1]!.ipsec, { works: false });
  const ports = [cluster.attach(0), cluster.attach(1)] as const;
  cluster.connect(0, 1);
  cluster.advance(70_000);
  assert.equal(reaches(cluster, ports), false);
  const why = (host: number) => cluster.hosts[host]!.core!.report(cluster.now).links[0]?.status.why;
  assert.match(why(1)!, /no IPsec here/);
  assert.match(why(0)!, /waiting for the peer/);
  assert.equal(cluster.clear, 0);
});

Deno.test("sealed links never leak, whatever ends and comes back in whatever order", () => {
  const random = seededRandom();
  withSeed(() => {
    for (let run = 0; run < 20; run++) {
      const cluster = new Cluster(3);
      cluster.sealed = true;
      const ports = cluster.hosts.map((_, i) => cluster.attach(i));
      for (let step = 0; step < 40; step++) {
        const [a, b] = [random.below(3), random.below(3)];
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const what = random.below(7);
        if (what === 0 && low !== high && cluster.hosts[low]!.core && cluster.hosts[high]!.core) {
          cluster.connect(low, high);
        } else if (what === 1) cluster.disconnect(low, high, random.below(2) === 0);
        else if (what === 2 && cluster.hosts[a]!.core !== undefined) cluster.crash(a);
        else if (what === 3 && cluster.hosts[a]!.core === undefined) {
          cluster.boot(a);
          cluster.publish();
        } else if (what === 4) cluster.advance(random.below(400_000));
        else cluster.send(a, ports[a]!, random.below(2) === 0 ? BROADCAST : 0xa0 + b, 0xa0 + a);
      }
      assert.equal(cluster.clear, 0);
      for (const { index, core } of cluster.hosts) if (core === undefined) cluster.boot(index);
      cluster.publish();
      for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) cluster.connect(a, b);
      cluster.advance(120_000);
      for (const i of [0, 1, 2]) cluster.send(i, ports[i]!, BROADCAST, 0xa0 + i);
      assert.ok(cluster.send(0, ports[0]!, 0xa2, 0xa0).includes(`2:${ports[2]!}`));
      assert.equal(cluster.clear, 0);
      cluster.check();
    }
  });
});

Deno.test("a sealed link is guarded again at once when another program removes everything, and gets new keys", () => {
  const { cluster, ports } = pair([FAST_EXTENSION.rekey, FAST_EXTENSION.beat]);
  cluster.advance(5_000);
  assert.ok(reaches(cluster, ports));
  const [first] = cluster.hosts;
  for (let i = 0; i < 100; i++) {
    first!.ipsec.flush();
    cluster.step(0, { kind: "xfrm-disturbed" });
    // Not every time is it looked at once, but soon.
    cluster.advance(20);
    assert.ok(first!.ipsec.guards.size > 0);
  }
  cluster.advance(2_000);
  assert.ok(reaches(cluster, ports));
  cluster.advance(120_000);
  assert.ok(reaches(cluster, ports));
  for (const { ipsec } of cluster.hosts) assert.equal(ipsec.sas.size, 2, "nothing is left over");
  assert.equal(cluster.clear, 0);
  cluster.check();
});

Deno.test("a sealed link to a peer that cannot replace keys is ended when they are lost", () => {
  const { cluster, ports } = pair();
  cluster.advance(5_000);
  cluster.hosts[0]!.ipsec.flush();
  cluster.step(0, { kind: "xfrm-disturbed" });
  assert.equal(reaches(cluster, ports), false);
  assert.equal(cluster.clear, 0);
});

Deno.test("keys that a peer has lost without noticing are replaced when the path is silent", () => {
  const { cluster, ports } = pair([FAST_EXTENSION.rekey, FAST_EXTENSION.beat]);
  assert.ok(reaches(cluster, ports));
  cluster.hosts[0]!.ipsec.sas.clear();
  cluster.advance(90_000);
  assert.ok(reaches(cluster, ports));
  assert.equal(cluster.clear, 0);
});
