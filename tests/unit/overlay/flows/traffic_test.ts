import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../../mod/core/addr.ts";
import type { PeerName } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { FlowEntry } from "../../../../mod/overlay/flows/flow_table.ts";
import { Traffic } from "../../../../mod/overlay/flows/traffic.ts";
import type { FlowAction, FlowKey, PortNo, Ufid } from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";

const [B, C] = ["02:00:00:00:00:0b", "02:00:00:00:00:0c"] as PeerName[];
const [AT_A, AT_B, AT_C] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] as Ip[];
const LINK = 7 as LinkId;
const PORT = 1 as PortNo;
const LINKS = [
  { link: LINK, peer: B!, tunnel: AT_B },
  { link: 8 as LinkId, peer: C!, tunnel: AT_C },
];
const OUT: FlowKey = { inPort: PORT, ethSrc: 1 as Mac, ethDst: 2 as Mac };
const tunnelTo = (dst: Ip): FlowAction => ({
  kind: "tunnel",
  port: PORT,
  tunnel: { id: 1 as Vni, src: AT_A!, dst },
});
const SLEEVE: FlowAction = { kind: "sleeve", port: PORT, sleeve: { link: LINK, id: 1 as Vni } };

function flow(ufid: number, key: FlowKey, ...actions: readonly FlowAction[]): FlowEntry {
  return {
    ...{ ufid: ufid as Ufid, key, actions, unicast: -1, broadcast: -1, locals: false, adopted: false },
    ...{ foreign: undefined, packets: 0, bytes: 0, cells: undefined, usedAt: 0 as Millis, until: Infinity },
  };
}

/** `peer overlay received/sent`, of packets and bytes, what is not zero. */
function told(traffic: Traffic): string[] {
  return traffic.report().flatMap(({ peer, ways }) =>
    (["fastdp", "sleeve"] as const).map((overlay) => {
      const { received, sent } = ways[overlay];
      return `${
        peer === B ? "b" : "c"
      } ${overlay} ${received.packets}:${received.bytes} ${sent.packets}:${sent.bytes}`;
    })
  ).filter((line) => !line.endsWith("0:0 0:0")).sort();
}

Deno.test("Traffic adds what flows carried since the last look to the peers at their ends, copy by copy", () => {
  const traffic = new Traffic();
  traffic.setLinks(LINKS);
  const flood = flow(1, OUT, { kind: "output", port: PORT }, tunnelTo(AT_B!), tunnelTo(AT_C!));
  const back = flow(2, { ...OUT, tunnel: { id: 1 as Vni, src: AT_B!, dst: AT_A! } }, {
    kind: "output",
    port: PORT,
  });
  const relay = flow(3, { inPort: PORT, sleeve: { link: LINK, id: 1 as Vni } }, tunnelTo(AT_C!));
  for (const entry of [flood, back, relay]) traffic.assign(entry);
  traffic.look(flood, 3, 300);
  traffic.look(flood, 5, 500);
  traffic.look(back, 1, 60);
  traffic.look(relay, 2, 200);
  assert.deepEqual(told(traffic), ["b fastdp 1:60 5:500", "b sleeve 2:200 0:0", "c fastdp 0:0 7:700"]);
  traffic.passed(OUT, [SLEEVE], 42);
  assert.deepEqual(told(traffic)[1], "b sleeve 2:200 1:42");
});

Deno.test("Traffic never goes back: flows that end, change or are made anew, links that go and come", () => {
  const traffic = new Traffic();
  traffic.setLinks(LINKS);
  const entry = flow(1, OUT, tunnelTo(AT_B!));
  traffic.assign(entry);
  traffic.look(entry, 10, 1000);
  traffic.ends(entry); // it goes over to the other overlay, with what it has carried meanwhile
  const changed: FlowEntry = { ...entry, actions: [SLEEVE] };
  traffic.assign(changed);
  traffic.told({ ufid: entry.ufid, packets: 12, bytes: 1200 }, changed);
  traffic.look(changed, 13, 1300);
  assert.deepEqual(told(traffic), ["b fastdp 0:0 12:1200", "b sleeve 0:0 1:100"]);
  traffic.ends(changed);
  traffic.setLinks([]);
  traffic.swept(); // a look at all flows that was asked for before
  traffic.told({ ufid: entry.ufid, packets: 15, bytes: 1500 }, undefined);
  traffic.told({ ufid: entry.ufid, packets: 15, bytes: 1500 }, undefined);
  assert.deepEqual(told(traffic), ["b fastdp 0:0 12:1200", "b sleeve 0:0 3:300"]);
  traffic.setLinks(LINKS);
  const anew = flow(1, OUT, tunnelTo(AT_B!));
  traffic.assign(anew);
  traffic.look(anew, 4, 400);
  traffic.look(anew, 1, 100); // somebody else deleted it and it came back
  assert.deepEqual(told(traffic)[0], "b fastdp 0:0 17:1700");
});

Deno.test("Traffic books nothing for a peer that a flow did not go to", () => {
  const traffic = new Traffic();
  traffic.setLinks(LINKS);
  const local = flow(1, OUT, { kind: "output", port: PORT });
  traffic.assign(local);
  traffic.ends(local);
  const changed: FlowEntry = { ...local, actions: [SLEEVE] };
  traffic.assign(changed);
  traffic.told({ ufid: local.ufid, packets: 500, bytes: 50_000 }, changed);
  traffic.look(changed, 501, 50_100);
  assert.deepEqual(told(traffic), ["b sleeve 0:0 1:100"]);
});

Deno.test("Traffic counts once what is looked at between a change and what the datapath tells of it", () => {
  const traffic = new Traffic();
  traffic.setLinks(LINKS);
  const entry = flow(1, OUT, SLEEVE);
  traffic.assign(entry);
  traffic.ends(entry);
  traffic.assign(entry);
  traffic.look(entry, 500, 50_000);
  traffic.swept();
  traffic.told({ ufid: entry.ufid, packets: 500, bytes: 50_000 }, entry);
  assert.deepEqual(told(traffic), ["b sleeve 0:0 500:50000"]);
});

Deno.test("Traffic of flows found at start counts from then on, once their peers are known", () => {
  const traffic = new Traffic();
  const adopted = { ...flow(1, OUT, tunnelTo(AT_B!)), packets: 100, bytes: 9_000 };
  traffic.look(adopted, 101, 9_100);
  assert.deepEqual(told(traffic), []);
  traffic.setLinks(LINKS);
  traffic.look(adopted, 103, 9_300);
  assert.deepEqual(told(traffic), ["b fastdp 0:0 2:200"]);
});

Deno.test("Traffic forgets those that are no neighbours any more when there are too many", () => {
  const traffic = new Traffic();
  for (let i = 0; i < 6_000; i++) {
    const peer = `02:00:00:00:${(i >> 8).toString(16).padStart(2, "0")}:${
      (i & 255).toString(16)
    }` as PeerName;
    traffic.setLinks([{ link: LINK, peer, tunnel: undefined }]);
    traffic.passed(OUT, [SLEEVE], 60);
  }
  assert.ok(traffic.report().length <= 4_097, `${traffic.report().length}`);
});
