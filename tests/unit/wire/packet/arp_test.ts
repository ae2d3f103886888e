import assert from "node:assert/strict";
import { ipFromBytes, parseIp, parseMac } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { encodeArp, gratuitousArp } from "../../../../mod/wire/packet/arp.ts";
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
