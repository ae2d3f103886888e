import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import { parsePeerName } from "../../../mod/core/names.ts";
import { SealedLink, secretboxCipher, type SequenceLimits } from "../../../mod/sleeve/sleeve_seal.ts";
import { loadSealer } from "../../../mod/sys/sealer.ts";
import { FrameReader, PacketWriter, peerNumber, SEALED_FRAMES } from "../../../mod/wire/mesh/sleeve.ts";
import { fuzz } from "../fuzz.ts";
import { loadVectors } from "../vectors.ts";

interface Row {
  readonly name: string;
  readonly encrypted: boolean;
  readonly df: boolean;
  readonly seq: number;
  readonly sender_side: "outbound" | "inbound";
  readonly packet: string;
  readonly frames: readonly { readonly src: string; readonly dst: string; readonly frame: string }[];
}
const vectors = loadVectors("dataplane-sleeve");
const rows = (vectors.packets as Row[]).filter((row) => row.encrypted);
const cipher = secretboxCipher(await loadSealer(), fromHex(vectors.session_key));
const linkOf = (side: string, limits?: SequenceLimits) => new SealedLink(cipher, side === "outbound", limits);
const nameOf = (hex: string) => peerNumber(parsePeerName(hex.replace(/..(?!$)/g, "$&:"))!);
const other = (side: string) => side === "outbound" ? "inbound" : "outbound";

/** The frames of a row as a packet not yet sealed, three octets into a larger buffer. */
function built(row: Row): { bytes: Uint8Array<ArrayBuffer>; to: number } {
  const bytes = new Uint8Array(row.packet.length / 2 + 6).fill(0xee);
  const writer = new PacketWriter();
  const sender = row.sender_side === "outbound" ? "0a1122334455" : "0eaabbccddee";
  writer.start(bytes, 3, { sender: nameOf(sender), sealed: true, limit: row.packet.length / 2 });
  for (const { src, dst, frame } of row.frames) {
    assert.ok(writer.add(nameOf(src), nameOf(dst), fromHex(frame)));
  }
  return { bytes, to: writer.to };
}

Deno.test("SealedLink seals as the original, for both roles and channels", () => {
  assert.equal(rows.length, 8);
  const links = { outbound: linkOf("outbound"), inbound: linkOf("inbound") };
  for (const row of rows) {
    const { bytes, to } = built(row);
    assert.ok(links[row.sender_side].seal(bytes, 3, to, row.df));
    assert.equal(toHex(bytes), "eeeeee" + row.packet + "eeeeee", row.name);
  }
});

Deno.test("SealedLink opens what the original sealed, once", () => {
  const links = { outbound: linkOf("outbound"), inbound: linkOf("inbound") };
  for (const row of rows) {
    const link = links[other(row.sender_side) as "outbound"];
    const bytes = fromHex("eeee" + row.packet);
    assert.equal(link.open(bytes, 2, bytes.length), "open", row.name);
    const reader = new FrameReader();
    reader.start(bytes, 2 + SEALED_FRAMES, bytes.length);
    for (const { src, dst, frame } of row.frames) {
      assert.ok(reader.next());
      assert.deepEqual([reader.src, reader.dst], [nameOf(src), nameOf(dst)]);
      assert.equal(toHex(bytes.subarray(reader.from, reader.to)), frame);
    }
    assert.ok(!reader.next());
    const again = fromHex(row.packet);
    assert.equal(link.open(again, 0, again.length), "replayed", row.name);
  }
});

Deno.test("SealedLink changes nothing for packets that are forged, cut or its own", () => {
  const row = rows[1]!;
  const link = linkOf("inbound");
  for (let at = 6; at < row.packet.length / 2; at++) {
    const bytes = fromHex(row.packet);
    bytes[at]! ^= 1 << (at & 7);
    assert.notEqual(link.open(bytes, 0, bytes.length), "open", `octet ${at}`);
  }
  for (let end = 0; end < row.packet.length / 2; end++) {
    assert.equal(link.open(fromHex(row.packet), 0, end), end < SEALED_FRAMES ? "damaged" : "forged");
  }
  const bytes = fromHex(row.packet);
  assert.equal(
    linkOf("outbound").open(fromHex(row.packet), 0, bytes.length),
    "forged",
    "sent back to its sender",
  );
  assert.equal(link.open(bytes, 0, bytes.length), "open", "the real one is still new");
});

Deno.test("SealedLink asks for a new key before numbers run out, and then seals no more", () => {
  const link = linkOf("outbound", { rekeyAt: 2, end: 3 });
  const seal = (df: boolean) => {
    const { bytes, to } = built(rows[0]!);
    return link.seal(bytes, 3, to, df);
  };
  assert.deepEqual([seal(true), link.rekeyNeeded], [true, false]);
  assert.deepEqual([seal(true), link.rekeyNeeded], [true, true]);
  assert.deepEqual([seal(true), seal(true), seal(true)], [true, false, false]);
  assert.deepEqual([seal(false), seal(false), seal(false), seal(false)], [true, true, true, false]);
});

Deno.test("SealedLink.open() returns whatever it is given", () => {
  fuzz(
    (bytes) => linkOf("inbound").open(bytes, 0, bytes.length),
    rows.slice(0, 3).map((row) => fromHex(row.packet)),
    {
      mutations: 50,
      randoms: 50,
    },
  );
});
