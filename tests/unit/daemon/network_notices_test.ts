import assert from "node:assert/strict";
import { parseIp } from "../../../mod/core/addr.ts";
import { NetworkNotices } from "../../../mod/daemon/threads/network_notices.ts";
import { addressNotice, interfaceNotice, routeNotice } from "../wire/netlink/network_notices.ts";
import { FakeNotices } from "../kernel_messages.ts";

const [OLD, NEW] = [parseIp("192.0.2.1")!, parseIp("192.0.2.101")!];
const NOTHING_OF_ADDRESSES = { addresses: false, gone: [], come: [] };

Deno.test("NetworkNotices tells of addresses once, those that are back again not as gone", () => {
  const socket = new FakeNotices();
  const notices = new NetworkNotices(socket);
  assert.equal(notices.take(), undefined);
  socket.queue.push(addressNotice(OLD, { present: false }), addressNotice(NEW));
  assert.deepEqual(notices.take(), { addresses: true, gone: [OLD], come: [NEW] });
  assert.equal(notices.take(), undefined);
  socket.queue.push(addressNotice(OLD, { present: false }), addressNotice(OLD));
  assert.deepEqual(notices.take(), { addresses: true, gone: [], come: [OLD] });
  socket.queue.push(addressNotice(OLD, { scope: 254 }));
  assert.equal(notices.take(), undefined);
});

Deno.test("NetworkNotices tells of an interface when it begins to run, and each time it does so again", () => {
  const socket = new FakeNotices();
  const notices = new NetworkNotices(socket);
  const told = (flags: number) => {
    socket.queue.push(interfaceNotice(7, { flags }));
    return notices.take();
  };
  assert.deepEqual(
    [told(0x01), told(0x41), told(0x41), told(0x01), told(0x41)],
    [undefined, NOTHING_OF_ADDRESSES, undefined, undefined, NOTHING_OF_ADDRESSES],
  );
});

Deno.test("NetworkNotices tells of routes, and of news that were lost", () => {
  const socket = new FakeNotices();
  const notices = new NetworkNotices(socket);
  socket.queue.push(routeNotice({ table: 254, type: 1 }));
  assert.deepEqual([notices.take(), notices.take()], [NOTHING_OF_ADDRESSES, undefined]);
  socket.queue.push("overrun");
  assert.deepEqual([notices.take(), notices.take()], [{ addresses: true, gone: [], come: [] }, undefined]);
});
