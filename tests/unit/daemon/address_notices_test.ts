import assert from "node:assert/strict";
import { AddressNotices } from "../../../mod/daemon/address_notices.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { linkNotice, LinkNotices } from "../datapath/link_notices.ts";

/** A notice that an address of this scope has come. */
function addressNotice(scope: number): Uint8Array {
  return new NetlinkWriter().begin(20, 0).u8(2).u8(24).u8(0).u8(scope).u32(7).end().finish();
}

Deno.test("AddressNotices tells of addresses once, also of more than it could be told, and of nothing else", () => {
  const socket = new LinkNotices();
  const notices = new AddressNotices(socket);
  assert.equal(notices.take(), false);
  socket.queue.push(linkNotice("eth0"), addressNotice(254));
  assert.equal(notices.take(), false);
  socket.queue.push(addressNotice(0), linkNotice("eth0"), addressNotice(0));
  assert.deepEqual([notices.take(), notices.take()], [true, false]);
  socket.queue.push("overrun");
  assert.deepEqual([notices.take(), notices.take()], [true, false]);
});
