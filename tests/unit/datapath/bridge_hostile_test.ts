/** The bridge's datapath with the data plane's core, fed with odd packets by containers and links. */
import assert from "node:assert/strict";
import { toHex } from "../../../mod/core/bytes.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { BRIDGE_PORT, BridgeDatapath, SLEEVE_PORT } from "../../../mod/datapath/bridge_shell.ts";
import { Dataplane } from "../../../mod/overlay/dataplane.ts";
import type { DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import { TapKeeper } from "../../../mod/datapath/tap_keeper.ts";
import type { SleeveKey, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { seededRandom, withSeed } from "../properties.ts";
import { OVS_HOST } from "../overlay/ovs_host.ts";
import { FakePath, FakeTap } from "../overlay/fake_sleeve.ts";
import { SILENT } from "./link_notices.ts";
import { oddPacket, secretPacket, tells } from "../overlay/odd_packets.ts";
import { SHAPE } from "../sleeve/super_packets.ts";
import { FakeNotices } from "../kernel_messages.ts";

const random = seededRandom();
const VIRTIO = 10;
/** Bounds so small that they are reached. */
const LIMITS = { flows: 60, flowsPerSource: 40, macs: 50, macsPerPort: 30, macsPerPeer: 20 };

Deno.test("BridgeDatapath carries odd packets as they are or not at all, and never an earlier one", () => {
  withSeed(() => {
    const tap = new FakeTap();
    let path!: FakePath;
    const parts = { tap, notices: new FakeNotices(), names: [], put: () => false, log: SILENT };
    using datapath = new BridgeDatapath(tap, (take) => path = new FakePath(take), new TapKeeper(parts));
    const core = new Dataplane({
      ...{ ...OVS_HOST, mtu: 1_410, limits: LIMITS },
      ...{ kind: "bridge", overlays: ["sleeve"], noFastdp: "none here" },
    });
    const keys = [1, 2, 3].map((n): SleeveKey =>
      ({ link: n as LinkId, id: n << 12 | 1 as Vni }) as SleeveKey
    );
    let now = 0;
    let ufid = 0;
    const post = (event: DataplaneEvent): void => {
      // The core has no links here: it learns, installs flows that drop, ages and evicts. Whether it copes is one thing;
      // what is carried out when frames do go somewhere is another, and decided here.
      for (const effect of core.step(event, now as Millis)) {
        if (effect.kind === "delete") datapath.perform(effect, post, now as Millis);
      }
      if (event.kind !== "miss") return;
      const { key, frame } = event.miss;
      const carry = keys.slice(0, 1 + random.below(2)).map((sleeve) =>
        ({ kind: "sleeve", port: SLEEVE_PORT, sleeve }) as const
      );
      const out = { kind: "output", port: BRIDGE_PORT } as const;
      const actions = key.sleeve === undefined ? carry : random.below(3) === 0 ? [out, ...carry] : [out];
      const install = { kind: "install", ufid: ++ufid as Ufid, replace: false, key, actions, frame } as const;
      datapath.perform(
        random.below(4) === 0 ? { kind: "execute", inPort: key.inPort, actions, frame } : install,
        post,
        now as Millis,
      );
    };
    post(datapath.start());
    for (let round = 0; round < 1_000; round++, now += 7) {
      const packet = oddPacket(random);
      // Few addresses, so that flows are found again; some are groups.
      const at = VIRTIO + random.below(2) * 6;
      if (packet.length >= VIRTIO + 14 && random.below(4) > 0) {
        packet.set([[2, 3, 0xff][random.below(3)]!, 0, 0, 0, 0, random.below(4)], at);
      }
      const key = keys[random.below(keys.length)]!;
      const fromTap = random.below(2) === 0;
      const earlier = secretPacket({ ...SHAPE, payload: 900, size: 900 });
      tap.queue.push(earlier);
      datapath.drain(post, { now: now as Millis, isReady: () => true });
      path.sent.length = tap.written.length = 0;

      if (fromTap) tap.queue.push(packet);
      else path.arrived.push({ key, packet });
      datapath.drain(post, { now: now as Millis, isReady: () => true });
      post({ kind: "wake" });
      datapath.flush(post);
      const whole = toHex(packet);
      const out = [...tap.written.splice(0), ...path.sent.splice(0).map((one) => one.packet)];
      for (const one of out) {
        assert.ok(!tells(one), `round ${round}: ${whole}`);
        assert.equal(toHex(one), whole, `round ${round}`);
      }
      const { datapath: { flows }, macs } = core.report(now as Millis);
      assert.ok(
        flows <= LIMITS.flows && macs.local + macs.remote <= LIMITS.macs,
        `${flows} flows, ${macs.local} and ${macs.remote} addresses`,
      );
    }
    const { hits, misses } = datapath.counts();
    assert.ok(hits > 200 && misses > 100, `${hits} hits, ${misses} misses`);
  });
});
