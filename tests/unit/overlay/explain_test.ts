import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import type { OverlayName } from "../../../mod/core/overlay_port.ts";
import type { FrameView } from "../../../mod/overlay/ports/frame_view.ts";
import type { Cluster } from "./cluster.ts";
import { type Box, chain, say } from "./cluster_talk.ts";

/** What a host says about frames from one container to another. */
function explain(cluster: Cluster, host: number, from: Box, to: Box): FrameView {
  const names = cluster.hosts.map(({ name }) => name);
  cluster.advance(300);
  cluster.step(host, { kind: "count-flows" });
  const question = { src: from.mac as Mac, dst: to.mac as Mac, from: names[from.host], to: names[to.host] };
  return cluster.hosts[host]!.core!.explain(question, cluster.now);
}

for (const overlay of ["fastdp", "sleeve"] satisfies OverlayName[]) {
  Deno.test(`Dataplane explains what becomes of frames, and what flows carried, on each host: ${overlay}`, () => {
    const { boxes, cluster } = chain(3, Array.from({ length: 3 }, () => [overlay]));
    const [near, , far] = boxes as [Box, Box, Box];
    const unknown = explain(cluster, 0, near, far);
    assert.deepEqual([unknown.known, unknown.port, unknown.peer], [undefined, undefined, undefined]);
    assert.deepEqual(unknown.there, { flows: 0, packets: 0 });
    for (let i = 0; i < 3; i++) {
      say(cluster, near, far.mac);
      say(cluster, far, near.mac);
    }
    const before = [0, 1, 2].map((host) => explain(cluster, host, near, far));
    assert.equal(before[0]!.peer, cluster.hosts[2]!.name);
    assert.ok(before[2]!.port !== undefined && before[2]!.peer === undefined);
    assert.ok(before.every(({ back, there }) => there.flows === 1 && back.flows === 1));
    assert.match(before[0]!.out.join(), overlay === "fastdp" ? /^tunnel to / : /^user space$/);
    say(cluster, near, far.mac);
    for (const host of [0, 1, 2]) {
      const { back, there } = explain(cluster, host, near, far);
      assert.equal(there.packets, before[host]!.there.packets + 1, `host ${host}`);
      assert.equal(back.packets, before[host]!.back.packets, `host ${host}`);
    }
  });
}

Deno.test("Dataplane counts flows for people no more often than every 250 ms", () => {
  const { cluster } = chain(2);
  const { core } = cluster.hosts[0]!;
  const count = () => core!.step({ kind: "count-flows" }, cluster.now).map(({ kind }) => kind);
  assert.deepEqual(count(), ["dump-flows"]);
  assert.deepEqual(count(), []);
  cluster.advance(250);
  assert.deepEqual(count(), ["dump-flows"]);
});
