/** Packets of some senders are heard as they arrive, also those that the kernel drops. */
import assert from "node:assert/strict";
import { inNetns } from "../../../ffi/netns.ts";
import { PacketListener } from "../../../ffi/packet_listener.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { interfaceIndex } from "../../../ffi/process.ts";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { ipToBytes } from "../../../mod/core/addr.ts";
import { decodeArp, encodeArp } from "../../../mod/wire/packet/arp.ts";
import { ip, NETNS, NETNS_PATH, possible, withNetns } from "./namespace.ts";

const [A, B, C] = ["10.9.9.1", "10.9.9.2", "10.9.9.3"] as [Ip, Ip, Ip];
const MAC = 0x0200_0000_0001 as Mac;

function arpOf(senderIp: Ip): Uint8Array<ArrayBuffer> {
  return encodeArp({ operation: "reply", senderMac: MAC, senderIp, targetMac: MAC, targetIp: C }, MAC);
}

/** A frame with an IPv4 packet without content. */
function packetOf(sender: Ip): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(34);
  frame.set([2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17]);
  frame.set(ipToBytes(sender), 26);
  frame.set(ipToBytes(C), 30);
  return frame;
}

/** What is heard until nothing has come for a while. */
function heardBy(listener: PacketListener): { index: number; bytes: Uint8Array<ArrayBuffer> }[] {
  const all: { index: number; bytes: Uint8Array<ArrayBuffer> }[] = [];
  for (const end = performance.now() + 300; performance.now() < end;) {
    const heard = listener.receive();
    if (heard !== undefined) all.push({ index: heard.interface, bytes: heard.bytes.slice() });
  }
  return all;
}

Deno.test({
  name:
    "PacketListener hears those that it was told of, says where they arrived, and does not hear what this host sends",
  ignore: !possible,
  sanitizeResources: false, // the library stays open
  fn: () =>
    withNetns(() => {
      assert.ok(ip("-n", NETNS, "link", "add", "out", "type", "veth", "peer", "name", "in"));
      for (const name of ["out", "in"]) assert.ok(ip("-n", NETNS, "link", "set", name, "up"));
      const [arp, ipv4, inside] = inNetns(NETNS_PATH, () =>
        [
          new PacketListener("arp", [A, B]),
          new PacketListener("ipv4", [B]),
          interfaceIndex("in"),
        ] as const);
      using _arp = arp;
      using _ipv4 = ipv4;
      sendFrames(NETNS_PATH, "out", [arpOf(C), arpOf(A), packetOf(A), packetOf(B), arpOf(B)]);
      const senders = heardBy(arp).map(({ bytes, index }) => [decodeArp(bytes)?.senderIp, index]);
      assert.deepEqual(senders, [[A, inside], [B, inside]]);
      const packets = heardBy(ipv4);
      assert.deepEqual(packets.map(({ bytes, index }) => [[...bytes.subarray(12, 16)], index]), [
        [[...ipToBytes(B)], inside],
      ]);
      ipv4[Symbol.dispose]();
      ipv4[Symbol.dispose]();
      assert.throws(() => ipv4.receive(), TypeError);
    }),
});
