import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import { type Channel, chooseChannel } from "../../../../mod/overlay/ports/sleeve_channel.ts";

const MACS = "ee0a0b0c0d0ec60102030405";

/** A frame whose inner packet has `size` octets. */
function frameOf(kind: "df" | "ipv4" | "ipv6" | "arp" | "tagged", size: number): Uint8Array {
  const start = {
    df: "080045000000123440004011",
    ipv4: "080045000000123400004011",
    ipv6: "86dd600000000000",
    arp: "08060001080006040001",
    tagged: "81000005080045000000123440004011",
  }[kind];
  const frame = new Uint8Array(14 + size);
  frame.set(fromHex(MACS + start));
  if (kind === "df" || kind === "ipv4") frame.set([size >>> 8, size], 16);
  return frame;
}

type Row = [name: string, kind: Parameters<typeof frameOf>[0], size: number, channels: [Channel, Channel]];

/** Channels where fragments arrive, and where they do not; the MTU is 1338. */
const rows: Row[] = [
  ["IPv4 with DF that fits", "df", 1338, ["df", "df"]],
  ["IPv4 with DF, one octet too big", "df", 1339, ["too-big", "too-big"]],
  ["IPv4 without DF that fits", "ipv4", 1338, ["plain", "df"]],
  ["IPv4 without DF, too big", "ipv4", 1339, ["plain", "fragment"]],
  ["ARP", "arp", 46, ["plain", "plain"]],
  ["tagged, too big", "tagged", 1500, ["plain", "plain"]],
  ["IPv6 that fits", "ipv6", 1338, ["plain", "plain"]],
  ["IPv6, too big", "ipv6", 1339, ["plain", "too-big"]],
];

Deno.test("chooseChannel() by frame, size and what the path is trusted with", () => {
  for (const [name, kind, size, channels] of rows) {
    const bytes = new Uint8Array(size + 20);
    bytes.set(frameOf(kind, size), 3);
    [true, false].forEach((fragmentsArrive, i) => {
      const frame = { bytes, from: 3, to: 3 + 14 + size, longest: 14 + size, broadcast: false };
      assert.equal(chooseChannel(frame, { mtu: 1338, fragmentsArrive }), channels[i], name);
    });
  }
});

Deno.test("chooseChannel() answers later while the MTU is about to rise again", () => {
  for (const [name, kind, size, [, channel]] of rows) {
    const bytes = frameOf(kind, size);
    const frame = { bytes, from: 0, to: bytes.length, longest: bytes.length, broadcast: false };
    const chosen = chooseChannel(frame, { mtu: 1338, fragmentsArrive: false, unsettled: true });
    assert.equal(chosen, channel === "too-big" ? "too-big-later" : channel, name);
  }
});

Deno.test("chooseChannel() answers no broadcast", () => {
  const decide = (kind: "df" | "ipv6", fragmentsArrive: boolean) => {
    const bytes = frameOf(kind, 1500);
    const frame = { bytes, from: 0, to: bytes.length, longest: bytes.length, broadcast: true };
    return chooseChannel(frame, { mtu: 1338, fragmentsArrive });
  };
  assert.equal(decide("df", true), "drop");
  assert.equal(decide("ipv6", false), "plain");
});

Deno.test("chooseChannel() sends IPv6 that no sender may make smaller, and looks at segments of super-packets", () => {
  const small = frameOf("ipv6", 1280);
  const span = { from: 0, broadcast: false };
  const path = { mtu: 1218, fragmentsArrive: false };
  assert.equal(
    chooseChannel({ ...span, bytes: small, to: small.length, longest: small.length }, path),
    "plain",
  );
  const large = frameOf("df", 9_000);
  assert.equal(chooseChannel({ ...span, bytes: large, to: large.length, longest: 1232 }, path), "df");
});
