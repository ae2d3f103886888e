import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import type { OverlayName } from "../../../mod/core/overlay_port.ts";
import { arpProbe, encodeArp } from "../../../mod/wire/packet/arp.ts";
import type { Arrival, Cluster } from "./cluster.ts";
import { at, type Box, box, chain } from "./cluster_talk.ts";
import { numberOf } from "./kernel.ts";

const ASKER = 0x0e00_0000_0099 as Mac;
const WANTED = "10.2.1.7" as Ip;

/** The first host asks; where the question arrives. */
function ask(cluster: Cluster): Arrival[] {
  const number = numberOf(arpProbe(ASKER, WANTED));
  cluster.arrivals.delete(number);
  cluster.step(0, { kind: "who-has", ip: WANTED, mac: ASKER });
  return [...cluster.arrivals.get(number) ?? []].sort();
}

/** A container answers, or sends something else to who asks. */
function answer(cluster: Cluster, from: Box, operation: "reply" | "request" = "reply"): void {
  const frame = encodeArp({
    ...{ operation, senderMac: from.mac as Mac, senderIp: WANTED, targetMac: ASKER },
    targetIp: "0.0.0.0" as Ip,
  }, ASKER);
  cluster.hosts[from.host]!.kernel.receive(from.port, frame);
}

for (const overlay of ["fastdp", "sleeve"] satisfies OverlayName[]) {
  Deno.test(`Dataplane asks everybody who uses an address, and tells which host it is on: ${overlay}`, () => {
    const { boxes, cluster } = chain(3, Array.from({ length: 3 }, () => [overlay]));
    const [here, , far] = boxes as [Box, Box, Box];
    const others = cluster.hosts.map(({ index }) => ({ host: index, port: 0, mac: 0 }) as Box);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(ask(cluster), at(...boxes, ...others), "everybody is asked, once");
      answer(cluster, far);
      answer(cluster, here);
    }
    const [first] = cluster.hosts;
    const used = [
      { ip: WANTED, mac: far.mac, here: false, peer: cluster.hosts[2]!.name },
      { ip: WANTED, mac: here.mac, here: true, peer: undefined },
    ];
    assert.deepEqual(first!.used, [...used, ...used], "each answer is told");
    assert.deepEqual(cluster.hosts.slice(1).map((host) => host.used), [[], []]);
    const flows = [...first!.kernel.flows.values()].filter(({ key }) => key.ethDst === ASKER);
    assert.deepEqual(flows, [], "an answer is looked at each time");
  });
}

Deno.test("Dataplane takes only answers for answers, of those who may send, and delivers none", () => {
  const { boxes: [here, far], cluster } = chain(2);
  const [first] = cluster.hosts;
  answer(cluster, far!);
  assert.deepEqual(first!.used, [], "nobody has asked yet");
  ask(cluster);
  answer(cluster, here!, "request");
  const runt = encodeArp({
    ...{ operation: "reply", senderMac: 1 as Mac, senderIp: WANTED, targetMac: ASKER },
    targetIp: WANTED,
  }, ASKER).subarray(0, 30);
  first!.kernel.receive(here!.port, runt);
  const stranger = { id: 0 as never, src: "192.0.2.99" as Ip, dst: first!.ip };
  const tunnel = first!.kernel.vxlan(6784)!.port;
  const claim = { operation: "reply", senderMac: 1 as Mac, senderIp: WANTED, targetMac: ASKER } as const;
  first!.kernel.receive(tunnel, encodeArp({ ...claim, targetIp: WANTED }, ASKER), { tunnel: stranger });
  const arrivals = new Map(cluster.arrivals);
  answer(cluster, here!);
  assert.deepEqual(cluster.arrivals, arrivals, "nobody else hears of it");
  assert.equal(first!.used.length, 1);
});

Deno.test("Dataplane asks nobody where nobody is", () => {
  const { cluster } = chain(1);
  const other = box(cluster, 0);
  cluster.detach(0, other.port);
  ask(cluster);
  assert.deepEqual(cluster.hosts[0]!.used, []);
});
