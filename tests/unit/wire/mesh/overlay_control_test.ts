import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { TAG } from "../../../../mod/wire/mesh/mesh_tag.ts";
import { decodeOverlayControl, encodeOverlayControl } from "../../../../mod/wire/mesh/overlay_control.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

interface OfMesh {
  readonly description: string;
  readonly message_hex: string;
  readonly tag: number;
  readonly forwarder: number;
  readonly inner_tag: number;
  readonly body: string;
}
const ofMesh: readonly OfMesh[] = loadVectors("mesh-frames").vectors;
const ofOverlays: readonly { name: string; hex: string }[] = loadVectors("dataplane-control").messages;

for (const vector of ofMesh.filter(({ tag }) => tag === TAG.overlayControl)) {
  Deno.test(`overlay control as the original has it: ${vector.description}`, () => {
    const { forwarder: index, inner_tag: tag, message_hex } = vector;
    const value = { bare: false, index, tag, payload: fromHex(vector.body) };
    assert.equal(toHex(encodeOverlayControl(value)), message_hex);
    assert.deepEqual(decodeOverlayControl(fromHex(message_hex)), { ok: true, value });
  });
}

Deno.test("what the original's overlays say is read and written back", () => {
  assert.ok(ofOverlays.length > 3);
  for (const { name, hex } of ofOverlays) {
    const read = decodeOverlayControl(fromHex(hex));
    assert.ok(read.ok, name);
    assert.equal(read.value.bare, !hex.startsWith("07"), name);
    assert.equal(toHex(encodeOverlayControl(read.value)), hex, name);
  }
});

Deno.test("a bare message has its tag in front, and is about sleeve", () => {
  const value = { bare: true, index: 0, tag: 3, payload: fromHex("059e") };
  assert.equal(toHex(encodeOverlayControl(value)), "03059e");
  assert.deepEqual(decodeOverlayControl(fromHex("03059e")), { ok: true, value });
  assert.equal(toHex(encodeOverlayControl({ ...value, tag: 1, payload: new Uint8Array(0) })), "01");
});

Deno.test("decodeOverlayControl() refuses what must be ignored", () => {
  for (const hex of ["", "07", "0700", "00", "04", "08"]) {
    assert.equal(decodeOverlayControl(fromHex(hex)).ok, false, hex);
  }
});

Deno.test("decodeOverlayControl() returns what encodeOverlayControl() was given", () => {
  const octet = fc.nat({ max: 255 });
  const payload = fc.uint8Array({ maxLength: 64 }).map((bytes) => Uint8Array.from(bytes));
  check(fc.property(fc.boolean(), octet, octet, payload, (bare, index, tag, payload) => {
    const value = bare ? { bare, index: 0, tag: 1 + tag % 3, payload } : { bare, index, tag, payload };
    assert.deepEqual(decodeOverlayControl(encodeOverlayControl(value)), { ok: true, value });
  }));
});

Deno.test("decodeOverlayControl() returns on any input", () => {
  fuzz(
    decodeOverlayControl,
    [...ofMesh.map((v) => v.message_hex), ...ofOverlays.map((v) => v.hex)].map(fromHex),
  );
});
