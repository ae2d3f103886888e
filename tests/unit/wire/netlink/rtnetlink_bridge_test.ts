import assert from "node:assert/strict";
import { toHex } from "../../../../mod/core/bytes.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import type { Ip, Mac } from "../../../../mod/core/addr.ts";
import * as rt from "../../../../mod/wire/netlink/rtnetlink.ts";
import { fuzz } from "../../fuzz.ts";

const { dumpBridgeTable, learntAtPorts, setBridgePort } = rt;

/** An entry of a bridge's table. */
function entry(index: number, state: number, family = 7): Uint8Array {
  return new NetlinkWriter().begin(28, 0).u8(family).u8(0).u16(0).u32(index).u16(state).u8(0).u8(0).end()
    .finish();
}

Deno.test("learntAtPorts() counts what was learnt, not what was set, and survives what it cannot read", () => {
  const replies = [
    entry(3, 2),
    entry(3, 4),
    entry(3, 0x80),
    entry(4, 0x40),
    entry(5, 2, 2),
    Uint8Array.of(1),
  ];
  assert.deepEqual([...learntAtPorts(replies)], [[3, 2]]);
});

Deno.test("setBridgePort() names only what is to change, inside a nested attribute", () => {
  const body = (bytes: Uint8Array) => toHex(bytes.subarray(16));
  const head = "07000000" + "09000000" + "00000000" + "00000000";
  assert.equal(body(setBridgePort(9, { open: false })), head + "0c000c80" + "0500010000000000");
  assert.equal(body(setBridgePort(9, { learning: true })), head + "0c000c80" + "0500080001000000");
  assert.equal(body(setBridgePort(9, { passReserved: true })), head + "0c000c80" + "06001f00fdff0000");
  assert.equal(body(dumpBridgeTable(9)), "07000000000000000000000000000000" + "08000a0009000000");
});

Deno.test("setBridgeEntry() is what `bridge fdb replace ... master static sticky` sends", () => {
  const bytes = rt.setBridgeEntry(9, 0x02_6d_65_73_68_35 as Mac);
  assert.equal(toHex(bytes.subarray(16)), "07000000" + "09000000" + "40004400" + "0a000200026d65736835");
});

Deno.test("deleteBridgeEntry() is what `bridge fdb del ... master` sends, but for the state, which the kernel ignores", () => {
  const bytes = rt.deleteBridgeEntry(9, 0x02_6d_65_73_68_35 as Mac);
  assert.equal(toHex(bytes.subarray(4, 8)), "1d000500");
  assert.equal(toHex(bytes.subarray(16)), "07000000" + "09000000" + "00000400" + "0a000200026d65736835");
});

Deno.test("setNeighbour() is what `ip neigh replace ... nud permanent` sends, and decodeNeighbour() reads it", () => {
  const bytes = rt.setNeighbour(9, "169.254.53.53" as Ip, 0x02_6d_65_73_68_35 as Mac);
  const attributes = "08000100a9fe3535" + "0a000200026d65736835";
  assert.equal(toHex(bytes.subarray(16)), "02000000" + "09000000" + "80000000" + attributes);
  assert.deepEqual(rt.decodeNeighbour(bytes), {
    ok: true,
    value: { index: 9, ip: "169.254.53.53", mac: 0x02_6d_65_73_68_35, permanent: true },
  });
  assert.equal(toHex(rt.dumpNeighbours(9).subarray(16)), "02000000" + "00".repeat(8) + "0800080009000000");
  fuzz(rt.decodeNeighbour, [bytes]);
});
