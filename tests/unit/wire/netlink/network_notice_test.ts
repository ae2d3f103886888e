import assert from "node:assert/strict";
import { parseIp } from "../../../../mod/core/addr.ts";
import { fromHex } from "../../../../mod/core/bytes.ts";
import { readNetworkNotice } from "../../../../mod/wire/netlink/network_notice.ts";
import { addressNotice, interfaceNotice, routeNotice } from "./network_notices.ts";
import { fuzz } from "../../fuzz.ts";

Deno.test("readNetworkNotice() reads addresses that others may know, both families, come or gone", () => {
  const [v4, v6] = [parseIp("192.0.2.1")!, parseIp("2001:db8::1")!];
  for (const ip of [v4, v6]) {
    for (const present of [true, false]) {
      assert.deepEqual(readNetworkNotice(addressNotice(ip, { present })), [{ kind: "address", ip, present }]);
    }
    assert.deepEqual(readNetworkNotice(addressNotice(ip, { scope: 253 })), []);
    assert.deepEqual(readNetworkNotice(addressNotice(ip, { scope: 254 })), []);
  }
  const tentative = { flags: 0x40 };
  assert.deepEqual(readNetworkNotice(addressNotice(v6, tentative)), [], "nothing can be sent from it yet");
  assert.equal(readNetworkNotice(addressNotice(v6, { ...tentative, present: false })).length, 1);
});

Deno.test("readNetworkNotice() tells interfaces that run from those that are down or have no carrier", () => {
  const running = (flags: number, present = true) => {
    const [news] = readNetworkNotice(interfaceNotice(7, { flags, present }));
    assert.ok(news?.kind === "interface" && news.index === 7);
    return news.running;
  };
  assert.deepEqual([running(0x41), running(0x01), running(0x40), running(0x41, false)], [
    true,
    false,
    false,
    false,
  ]);
  assert.deepEqual(
    readNetworkNotice(interfaceNotice(7, { flags: 0x41, family: 7 })),
    [],
    "a port of a bridge",
  );
});

Deno.test("readNetworkNotice() hears of unicast routes of the main table", () => {
  assert.deepEqual(readNetworkNotice(routeNotice({ table: 254, type: 1 })), [{ kind: "route" }]);
  assert.deepEqual(readNetworkNotice(routeNotice({ table: 254, type: 1, present: false })), [{
    kind: "route",
  }]);
  assert.deepEqual(readNetworkNotice(routeNotice({ table: 255, type: 2 })), []);
  assert.deepEqual(readNetworkNotice(routeNotice({ table: 254, type: 3 })), []);
});

Deno.test("readNetworkNotice() survives anything", () => {
  assert.deepEqual(readNetworkNotice(fromHex("00")), []);
  const ip = parseIp("192.0.2.1")!;
  fuzz((bytes) => readNetworkNotice(bytes), [
    addressNotice(ip),
    interfaceNotice(7, { flags: 1 }),
    routeNotice({ table: 254, type: 1 }),
  ]);
});
