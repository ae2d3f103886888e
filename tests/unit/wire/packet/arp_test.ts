import assert from "node:assert/strict";
import { ipFromBytes, parseIp, parseMac } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { arpProbe, decodeArp, encodeArp, gratuitousArp } from "../../../../mod/wire/packet/arp.ts";
import { unsolicitedAdvertisement } from "../../../../mod/wire/packet/neighbour_advertisement.ts";
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

const macIn = (hex: string) => parseMac(hex.replace(/..(?!$)/g, "$&:"))!;

Deno.test("encodeArp() writes captured frames", () => {
  for (const v of vectors.arp) {
    const frame = encodeArp({
      operation: v.operation as "request" | "reply",
      senderMac: parseMac(v.mac)!,
      senderIp: parseIp(v.ip)!,
      targetMac: macIn(v.frame.slice(64, 76)),
      targetIp: ipFromBytes(fromHex(v.frame.slice(76, 84)))!,
    }, macIn(v.frame.slice(0, 12)));
    assert.equal(toHex(frame), v.frame, v.name);
  }
});

Deno.test("decodeArp() reads captured frames, and nothing shorter or of another kind", () => {
  for (const v of vectors.arp) {
    const frame = fromHex(v.frame);
    const packet = decodeArp(frame)!;
    assert.equal(packet.operation, v.operation, v.name);
    assert.equal(packet.senderMac, parseMac(v.mac), v.name);
    assert.equal(packet.senderIp, v.ip, v.name);
    assert.deepEqual(encodeArp(packet, macIn(v.frame.slice(0, 12))), frame, v.name);
    assert.deepEqual(
      decodeArp(Uint8Array.of(...frame, ...new Uint8Array(18))),
      packet,
      "padding is no matter",
    );
    for (let length = 0; length < frame.length; length++) {
      assert.equal(decodeArp(frame.subarray(0, length)), undefined, `${v.name}, ${length} octets`);
    }
    for (const at of [12, 13, 14, 15, 16, 17, 18, 19, 20, 21]) {
      const broken = frame.slice();
      broken[at]! ^= 0x44;
      assert.equal(decodeArp(broken), undefined, `${v.name}, octet ${at} is wrong`);
    }
  }
});

Deno.test("arpProbe() asks in nobody's name", () => {
  const mac = parseMac("0e:00:00:00:00:01")!;
  assert.deepEqual(decodeArp(arpProbe(mac, parseIp("10.2.1.9")!)), {
    ...{ operation: "request", senderMac: mac, senderIp: "0.0.0.0", targetMac: 0, targetIp: "10.2.1.9" },
  });
});

Deno.test("gratuitousArp() equals the captured announcement", () => {
  const v = vectors.arp.find((x) => x.name.startsWith("announcement"))!;
  const frame = gratuitousArp(parseMac(v.mac)!, parseIp(v.ip)!);
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
