import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import { secretboxCipher } from "../../../mod/sleeve/sleeve_seal.ts";
import { loadSealer } from "../../../mod/sys/sealer.ts";
import { AesGcm, deriveKey } from "../../../ffi/libcrypto.ts";
import { type LibraryName, openLibrary } from "../../../ffi/libs.ts";
import { SodiumSecretbox } from "../../../ffi/sodium.ts";
import { seededRandom } from "../properties.ts";

function hasLibrary(name: LibraryName): boolean {
  try {
    openLibrary(name, {}).close();
    return true;
  } catch {
    return false;
  }
}

const sodium = hasLibrary("libsodium");
const openssl = hasLibrary("libcrypto");
if (sodium) new SodiumSecretbox(new Uint8Array(32)); // opens the libraries, once for the process
if (openssl) new AesGcm({ seal: new Uint8Array(32), open: new Uint8Array(32) });
const noble = await loadSealer();

/** Where a packet's text begins: sender, S and tag are before it. */
const TEXT = 30;

Deno.test({
  name: "SodiumSecretbox seals and opens as the sealer of connections does",
  ignore: !sodium,
  fn() {
    const random = seededRandom();
    for (const length of [0, 1, 31, 64, 1_400, 60_000]) {
      const key = random.bytes(32);
      const [ours, other] = [new SodiumSecretbox(key), secretboxCipher(noble, key)];
      const nonce = Uint8Array.from(random.bytes(24));
      const bytes = new Uint8Array(TEXT + length + 3);
      bytes.set(random.bytes(length), TEXT);
      const plain = bytes.slice();
      const expected = bytes.slice();
      other.seal(nonce, expected, TEXT, TEXT + length);
      ours.seal(nonce, bytes, TEXT, TEXT + length);
      assert.equal(toHex(bytes), toHex(expected));
      assert.equal(ours.open(nonce, bytes, TEXT, TEXT + length), true);
      assert.deepEqual(bytes.subarray(TEXT), plain.subarray(TEXT));
      ours.seal(nonce, bytes, TEXT, TEXT + length);
      bytes[TEXT - 1]! ^= 1;
      assert.equal(ours.open(nonce, bytes, TEXT, TEXT + length), false);
    }
    assert.throws(() => new SodiumSecretbox(new Uint8Array(31)), TypeError);
  },
});

Deno.test({
  name: "AesGcm seals as AES-256-GCM of WebCrypto does, bound to the packet's sender",
  ignore: !openssl,
  async fn() {
    const random = seededRandom();
    for (const length of [0, 1, 64, 511, 512, 513, 1_400, 60_000]) { // short ones go another way
      const [one, two] = [random.bytes(32), random.bytes(32)];
      const [ours, theirs] = [new AesGcm({ seal: one, open: two }), new AesGcm({ seal: two, open: one })];
      const nonce = Uint8Array.from(random.bytes(24));
      const bytes = Uint8Array.from(random.bytes(TEXT + length));
      const plain = bytes.slice();
      ours.seal(nonce, bytes, TEXT, TEXT + length);
      const key = await crypto.subtle.importKey("raw", Uint8Array.from(one), "AES-GCM", false, ["encrypt"]);
      const iv = Uint8Array.from([0, 0, 0, 0, ...nonce.subarray(16)]);
      const sealed = new Uint8Array(
        await crypto.subtle.encrypt(
          { name: "AES-GCM", iv, additionalData: plain.slice(0, 6) },
          key,
          plain.slice(TEXT),
        ),
      );
      assert.equal(toHex(bytes.subarray(TEXT)), toHex(sealed.subarray(0, length)));
      assert.equal(toHex(bytes.subarray(TEXT - 16, TEXT)), toHex(sealed.subarray(length)));
      const good = bytes.slice();
      assert.equal(theirs.open(nonce, bytes, TEXT, TEXT + length), true);
      assert.deepEqual(bytes.subarray(TEXT), plain.subarray(TEXT));
      for (const at of [0, TEXT - 1]) {
        const changed = good.slice();
        changed[at]! ^= 0x40;
        assert.equal(theirs.open(nonce, changed, TEXT, TEXT + length), false);
      }
      assert.equal(ours.open(nonce, good.slice(), TEXT, TEXT + length), false, "its own");
      assert.equal(theirs.open(nonce, good, TEXT, TEXT + length), true, "works on after a forged one");
    }
  },
});

Deno.test({
  name: "AesGcm agrees with the published test case of GCM",
  ignore: !openssl,
  fn() {
    // The GCM specification's test case 14, but for the name that is authenticated here: WebCrypto stands for that.
    const zero = new Uint8Array(32);
    const bytes = new Uint8Array(TEXT + 16);
    new AesGcm({ seal: zero, open: zero }).seal(new Uint8Array(24), bytes, TEXT, TEXT + 16);
    assert.equal(toHex(bytes.subarray(TEXT)), toHex(fromHex("cea7403d4d606b6e074ec5d3baf39d18")));
  },
});

Deno.test({
  name: "deriveKey() is HKDF-SHA256, and AesGcm.ofSession() has a key for each direction",
  ignore: !openssl,
  async fn() {
    const secret = Uint8Array.from(seededRandom().bytes(32));
    const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
    const info = new TextEncoder().encode("meshnet sleeve gcm outbound");
    const params = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
    const expected = new Uint8Array(await crypto.subtle.deriveBits(params, base, 256));
    assert.equal(toHex(deriveKey(secret, "meshnet sleeve gcm outbound")), toHex(expected));
    const [a, b] = [AesGcm.ofSession(secret, true), AesGcm.ofSession(secret, false)];
    const nonce = new Uint8Array(24);
    const sealedBy = (cipher: AesGcm) => {
      const bytes = new Uint8Array(TEXT + 100);
      cipher.seal(nonce, bytes, TEXT, bytes.length);
      return bytes;
    };
    assert.notDeepEqual(sealedBy(a), sealedBy(b));
    assert.equal(b.open(nonce, sealedBy(a), TEXT, TEXT + 100), true);
    assert.equal(a.open(nonce, sealedBy(b), TEXT, TEXT + 100), true);
  },
});
