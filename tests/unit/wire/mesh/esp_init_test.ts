import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { decodeEspInit, encodeEspInit } from "../../../../mod/wire/mesh/esp_init.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

const vectors = loadVectors<{ init_sa_remote: { body: string; nonce: string; spi: string } }>(
  "dataplane-ipsec",
);

Deno.test("encodeEspInit() and decodeEspInit() agree with the vector, and refuse other lengths", () => {
  const { body, nonce, spi } = vectors.init_sa_remote;
  const init = { nonce: fromHex(nonce), spi: parseInt(spi, 16) };
  assert.equal(toHex(encodeEspInit(init)), body);
  assert.deepEqual(decodeEspInit(fromHex(body)), { ok: true, value: init });
  for (const length of [0, 63, 65]) assert.equal(decodeEspInit(new Uint8Array(length).fill(1)).ok, false);
  assert.equal(decodeEspInit(encodeEspInit({ nonce: init.nonce, spi: 255 })).ok, false);
  fuzz(decodeEspInit, [fromHex(body)]);
});
