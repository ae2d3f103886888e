/** Whole data planes whose links are over IPv6. */
import assert from "node:assert/strict";
import { FAST_EXTENSION } from "../../../mod/overlay/ports/esp_port.ts";
import { BROADCAST, Cluster } from "./cluster.ts";
import { at, box, everywhereBut, say } from "./cluster_talk.ts";

/** Hosts in a line with a container each. */
function lineOver6(count: number, sealed: boolean) {
  const cluster = new Cluster(count, { extensions: Object.values(FAST_EXTENSION) });
  cluster.sealed = sealed;
  const boxes = cluster.hosts.map((_, host) => box(cluster, host));
  for (let host = 1; host < count; host++) cluster.connect(host - 1, host);
  cluster.advance(2_000);
  return { cluster, boxes };
}

for (const sealed of [false, true]) {
  Deno.test(`links over IPv6 carry frames along a line, ${sealed ? "sealed" : "in clear"}, and over a restart`, () => {
    const { cluster, boxes: [a, b, c] } = lineOver6(3, sealed);
    for (const each of [a!, b!, c!]) {
      assert.deepEqual(say(cluster, each, BROADCAST), everywhereBut(cluster, each));
    }
    assert.deepEqual(say(cluster, a!, c!.mac), at(c!));
    const tunnels = [...cluster.hosts[1]!.kernel.flows.values()].flatMap(({ key }) => key.tunnel ?? []);
    assert.ok(tunnels.length > 0 && tunnels.every(({ src }) => src.startsWith("2001:db8::")));
    const flows = cluster.hosts[1]!.kernel.flows.size;
    cluster.crash(1);
    assert.deepEqual(say(cluster, a!, c!.mac), at(c!), "the kernel goes on");
    cluster.boot(1);
    cluster.publish();
    assert.equal(cluster.hosts[1]!.kernel.flows.size, flows, "adopted");
    for (const host of [0, 2]) cluster.connect(host, 1);
    cluster.advance(2_000);
    assert.deepEqual(say(cluster, c!, a!.mac), at(a!));
    if (sealed) assert.equal(cluster.clear, 0);
    cluster.check();
  });
}
