import assert from "node:assert/strict";
import { parseIp, parseMac } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { decodeArp, encodeArp, gratuitousArp } from "../../../../mod/wire/packet/arp.ts";
import { unsolicitedAdvertisement } from "../../../../mod/wire/packet/neighbour_advertisement.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

interface Vectors {
  readonly arp: readonly {
    name: string;
    origin: string;
    frame: string;
    mac: string;
    ip: string;
    operation: string;
  }[];
  readonly advertisements: readonly {
    name: string;
    origin: string;
    frame: string;
    mac: string;
    ip: string;
  }[];
}
const vectors = loadVectors<Vectors>("arp");

Deno.test("decodeArp() reads captured frames, encodeArp() writes them", () => {
  for (const v of vectors.arp) {
    const decoded = decodeArp(fromHex(v.frame));
    assert.ok(decoded.ok, v.name);
    assert.equal(decoded.value.operation, v.operation, v.name);
    assert.equal(decoded.value.senderMac, parseMac(v.mac), v.name);
    assert.equal(decoded.value.senderIp, v.ip, v.name);
    const destination = parseMac(v.frame.slice(0, 12).replace(/..(?!$)/g, "$&:"))!;
    assert.equal(toHex(encodeArp(decoded.value, destination)), v.frame, v.name);
  }
});

Deno.test("gratuitousArp() equals the captured announcement", () => {
  const v = vectors.arp.find((x) => x.name.startsWith("announcement"))!;
  const frame = gratuitousArp(parseMac(v.mac)!, parseIp(v.ip)!);
  const decoded = decodeArp(frame);
  assert.ok(decoded.ok && decoded.value.senderIp === decoded.value.targetIp);
  assert.equal(toHex(frame), v.frame);
});

Deno.test("gratuitousArp() and unsolicitedAdvertisement() refuse the other family", () => {
  const mac = parseMac("02:00:00:00:00:01")!;
  assert.throws(() => gratuitousArp(mac, parseIp("fd00::1")!), TypeError);
  assert.throws(() => unsolicitedAdvertisement(mac, parseIp("10.2.1.1")!), TypeError);
});

Deno.test("unsolicitedAdvertisement() equals a kernel's own", () => {
  for (const v of vectors.advertisements) {
    assert.equal(toHex(unsolicitedAdvertisement(parseMac(v.mac)!, parseIp(v.ip)!)), v.frame, v.name);
  }
});

Deno.test("decodeArp() returns for any bytes", () => {
  fuzz(decodeArp, vectors.arp.map((v) => fromHex(v.frame)));
});
