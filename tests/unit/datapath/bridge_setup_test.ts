import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import {
  BRIDGE_SETTINGS,
  bridgeMac,
  planBridge,
  type PresentLink,
} from "../../../mod/datapath/bridge_setup.ts";

const WANTED = { mtu: 1410, mac: 0x02_00_00_00_00_01 as Mac };
const link = (index: number, more: Partial<PresentLink> = {}): PresentLink => ({
  ...{ index, up: false, mtu: 1500, mac: 5 as Mac, master: undefined },
  ...more,
});

Deno.test("planBridge() sets up what was just made, and then has nothing to do", () => {
  assert.deepEqual(planBridge(WANTED, { bridge: link(3, { bridge: BRIDGE_SETTINGS }), tap: link(4) }), [
    { index: 3, mac: WANTED.mac, mtu: 1410, up: true },
    { index: 4, mtu: 1410, master: 3, up: true, passReserved: true },
  ]);
  const bridge = link(3, { ...WANTED, bridge: BRIDGE_SETTINGS, up: true });
  for (const passesReserved of [true, undefined]) {
    const tap = link(4, { mtu: 1410, master: 3, up: true, passesReserved });
    assert.deepEqual(planBridge(WANTED, { bridge, tap }), []);
  }
});

Deno.test("planBridge() mends only what differs", () => {
  const bridge = link(3, { ...WANTED, bridge: BRIDGE_SETTINGS, up: true });
  assert.deepEqual(planBridge(WANTED, { bridge, tap: link(4, { mtu: 1410, master: 9, up: true }) }), [
    { index: 4, master: 3, passReserved: true },
  ]);
  const open = link(4, { mtu: 1410, master: 3, up: true, passesReserved: false });
  assert.deepEqual(planBridge(WANTED, { bridge, tap: open }), [{ index: 4, passReserved: true }]);
  const taken = link(4, { mtu: 1410, master: 3, up: true });
  assert.deepEqual(planBridge({ ...WANTED, mtu: 1400 }, { bridge, tap: taken }), [
    { index: 3, mtu: 1400 },
    { index: 4, mtu: 1400 },
  ]);
});

Deno.test("planBridge() takes settings back that somebody made", () => {
  const tap = link(4, { mtu: 1410, master: 3, up: true });
  for (const odd of [{ stp: true }, { multicastSnooping: true }]) {
    const bridge = link(3, { ...WANTED, bridge: { ...BRIDGE_SETTINGS, ...odd }, up: true });
    assert.deepEqual(planBridge(WANTED, { bridge, tap }), [{ index: 3, bridge: BRIDGE_SETTINGS }]);
  }
});

Deno.test("bridgeMac() is the peer's name, or a unicast address like it", () => {
  assert.equal(bridgeMac("02:00:00:00:00:07" as PeerName), 0x02_00_00_00_00_07);
  assert.equal(bridgeMac("00:11:22:33:44:55" as PeerName), 0x00_11_22_33_44_55);
  assert.equal(bridgeMac("ff:11:22:33:44:55" as PeerName), 0xfe_11_22_33_44_55);
});
