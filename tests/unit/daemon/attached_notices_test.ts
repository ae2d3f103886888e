import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { AttachedNotices } from "../../../mod/daemon/threads/attached_notices.ts";
import type { Disturbed } from "../../../mod/overlay/ports/dataplane_messages.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { FakeNotices } from "../kernel_messages.ts";

/** A notice of an interface as it is now. */
function link(
  index: number,
  name: string,
  { type = 16, up = true, master = 3, mtu = 1410 } = {},
): Uint8Array {
  const writer = new NetlinkWriter().begin(type, 0).u8(0).u8(0).u16(1).u32(index).u32(up ? 1 : 0).u32(0);
  writer.attrText(3, name).attrU32(4, mtu);
  if (master !== 0) writer.attrU32(10, master);
  return writer.end().finish();
}

function address(index: number, type: number): Uint8Array {
  return new NetlinkWriter().begin(type, 0).u8(2).u8(24).u8(0).u8(0).u32(index).end().finish();
}

/** A notice of an address that came, or went. */
function addressOf(ip: readonly number[], type: number): Uint8Array {
  return new NetlinkWriter().begin(type, 0).u8(2).u8(12).u8(0).u8(0).u32(5)
    .attrBytes(2, Uint8Array.from(ip)).end().finish();
}

function trial() {
  const added: string[] = [];
  const told: (Disturbed | "all")[] = [];
  const socket = new FakeNotices();
  const notices = new AttachedNotices({
    socket,
    mtu: 1410,
    tell: (disturbed) => void told.push(disturbed),
    tellAddresses: (ips) => void added.push(...ips),
    tellAll: () => void told.push("all"),
  });
  const hear = (now: number, ...news: (Uint8Array | "overrun")[]) => {
    socket.queue.push(...news);
    notices.drain(now as Millis);
    notices.wake(now as Millis);
  };
  return { added, hear, notices, socket, told };
}

Deno.test("AttachedNotices tells together of host ends and of interfaces elsewhere that lost something", () => {
  const { hear, notices, told } = trial();
  hear(
    0,
    link(7, "vmn0000000001", { master: 0 }),
    link(8, "vmn0000000002", { up: false }),
    link(9, "vmn0000000003", { type: 17 }),
  );
  hear(10, link(2, "ethmesh", { up: false }), address(5, 21));
  assert.deepEqual([told, notices.nextWake()], [[], 50]);
  hear(50);
  assert.deepEqual(told, [{ hostEnds: ["vmn0000000001", "vmn0000000002", "vmn0000000003"], guests: [2, 5] }]);
  assert.equal(notices.nextWake(), Infinity);
});

Deno.test("AttachedNotices tells of host ends that got another MTU, or another name", () => {
  const { hear, told } = trial();
  hear(0, link(7, "vmn0000000001"), link(8, "vmn0000000002", { mtu: 68 }));
  hear(50);
  assert.deepEqual(told.splice(0), [{ hostEnds: ["vmn0000000002"], guests: [] }]);
  hear(100, link(7, "eth9"));
  hear(150);
  assert.deepEqual(told.splice(0), [{ hostEnds: ["vmn0000000001"], guests: [] }]);
  hear(200, link(7, "vmn0000000001"), link(7, "vmn0000000001", { type: 17 }), link(7, "eth9"));
  hear(250);
  assert.deepEqual(told, [{ hostEnds: ["vmn0000000001"], guests: [] }]); // that it has gone, and no more
});

Deno.test("AttachedNotices is silent about what is well, and about what it cannot read", () => {
  const { hear, notices } = trial();
  hear(
    0,
    link(7, "vmn0000000001"),
    link(2, "ethmesh", { master: 0 }),
    address(5, 20),
    Uint8Array.of(1, 2, 3),
  );
  assert.equal(notices.nextWake(), Infinity);
});

Deno.test("AttachedNotices has everything looked at when news were lost, or are too many", () => {
  const { hear, told } = trial();
  hear(0, "overrun");
  hear(60);
  assert.deepEqual(told.splice(0), ["all"]);
  for (let i = 0; i < 600; i++) hear(100, address(i, 21));
  hear(200);
  assert.deepEqual(told, ["all"]);
});

Deno.test("AttachedNotices closes its socket", () => {
  const { notices, socket } = trial();
  notices[Symbol.dispose]();
  assert.equal(socket.disposed, true);
});

Deno.test("AttachedNotices tells of IPv4 addresses that came, each once, and of no more than it should", () => {
  const { added, hear, told } = trial();
  const came = addressOf([10, 2, 1, 7], 20);
  hear(0, came, addressOf([10, 2, 1, 8], 21), came, address(5, 20));
  hear(50);
  assert.deepEqual([added.splice(0), told.splice(0)], [["10.2.1.7"], [{ hostEnds: [], guests: [5] }]]);
  for (let i = 0; i < 2_000; i++) hear(100, addressOf([10, 3, i >> 8, i & 255], 20));
  hear(150);
  assert.deepEqual([added.length, told], [512, []]);
});
