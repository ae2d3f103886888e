import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import { peerNameFromNumber } from "../../../mod/core/names.ts";
import { espKey } from "../../../mod/ipsec/xfrm_shell.ts";
import { loadHkdf } from "../../../mod/sys/sealer.ts";
import { loadVectors } from "../vectors.ts";

const vectors = loadVectors<{
  derivations: { info: string; key36: string; nonce: string }[];
  session_key: string;
}>("dataplane-ipsec");

Deno.test("espKey() makes the keys of the vectors", async () => {
  const deriveKey = await loadHkdf();
  for (const { info, key36, nonce } of vectors.derivations) {
    const receiver = peerNameFromNumber(parseInt(info, 16))!;
    const key = espKey(deriveKey, { secret: fromHex(vectors.session_key), nonce: fromHex(nonce), receiver });
    assert.equal(toHex(key), key36);
  }
});
