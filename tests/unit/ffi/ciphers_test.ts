import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import { gcmKeys, secretboxCipher } from "../../../mod/sleeve/sleeve_seal.ts";
import { loadHkdf, loadSealer } from "../../../mod/sys/sealer.ts";
import { AesGcm } from "../../../ffi/aes_gcm.ts";
import { type LibraryName, openLibrary } from "../../../ffi/libs.ts";
import { SodiumSecretbox } from "../../../ffi/sodium.ts";
import { kindFor, VectorGcm } from "../../../ffi/vector_gcm.ts";
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
const zero = new Uint8Array(32);
const vector = VectorGcm.create(zero) !== undefined;
if (openssl) new AesGcm({ seal: zero, open: zero }, { without: "vector" });
/** Each way by which this machine can do it. */
const WAYS = [
  ...vector ? [{ way: "one call for a packet", options: {} }] : [],
  ...openssl ? [{ way: "OpenSSL", options: { without: "vector" } }] as const : [],
];
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

for (const { way, options } of WAYS) {
  Deno.test(`AesGcm by ${way} seals as WebCrypto does, bound to the packet's sender`, async () => {
    const random = seededRandom();
    // Short ones go another way, and a wide instruction takes many blocks of 16 at once.
    const lengths = [
      ...Array(66).keys(),
      127,
      128,
      255,
      256,
      257,
      511,
      512,
      513,
      1_378,
      1_400,
      9_000,
      60_000,
    ];
    for (const length of lengths) {
      const [one, two] = [random.bytes(32), random.bytes(32)];
      const [ours, theirs] = [
        new AesGcm({ seal: one, open: two }, options),
        new AesGcm({ seal: two, open: one }, options),
      ];
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
  });

  Deno.test(`AesGcm by ${way} agrees with the published test case of GCM`, () => {
    // The GCM specification's test case 14, but for the name that is authenticated here: WebCrypto stands for that.
    const bytes = new Uint8Array(TEXT + 16);
    new AesGcm({ seal: zero, open: zero }, options).seal(new Uint8Array(24), bytes, TEXT, TEXT + 16);
    assert.equal(toHex(bytes.subarray(TEXT)), toHex(fromHex("cea7403d4d606b6e074ec5d3baf39d18")));
  });
}

Deno.test({
  name: "what the wide instructions seal OpenSSL opens, and the other way round",
  ignore: !vector || !openssl,
  fn() {
    const random = seededRandom();
    const keys = { seal: random.bytes(32), open: random.bytes(32) };
    const ours = new AesGcm(keys);
    const theirs = new AesGcm({ seal: keys.open, open: keys.seal }, { without: "vector" });
    for (const [a, b] of [[ours, theirs], [theirs, ours]] as const) {
      for (const length of [0, 5, 300, 1_378, 8_000]) {
        const nonce = Uint8Array.from(random.bytes(24));
        const plain = Uint8Array.from(random.bytes(TEXT + length));
        const bytes = plain.slice();
        a.seal(nonce, bytes, TEXT, bytes.length);
        assert.equal(b.open(nonce, bytes, TEXT, bytes.length), true);
        assert.deepEqual(bytes.subarray(TEXT), plain.subarray(TEXT));
      }
    }
  },
});

Deno.test("the wide instructions are used wherever library and processor have them", () => {
  const expected = hasLibrary("libIPSec_MB") && kindFor(Deno.readTextFileSync("/proc/cpuinfo")) !== undefined;
  assert.equal(vector, expected);
});

Deno.test("only code for which the processor has all instructions is taken", () => {
  const wide = "aes pclmulqdq avx avx2 bmi1 bmi2 vaes vpclmulqdq avx512f avx512dq avx512cd avx512bw avx512vl";
  const cpuinfo = (flags: string) => `processor\t: 0\nflags\t\t: fpu ${flags} sse2\nbugs\t\t: vaes\n`;
  assert.equal(kindFor(cpuinfo(wide)), "vaes_avx512");
  for (const flag of ["vaes", "vpclmulqdq", "avx512f", "avx512vl"]) {
    assert.equal(kindFor(cpuinfo(wide.replace(new RegExp(`\\b${flag}\\b`), ""))), "avx_gen4", flag);
  }
  for (const flag of ["aes", "avx2", "bmi2", "pclmulqdq"]) {
    assert.equal(kindFor(cpuinfo(wide.replace(new RegExp(`\\b${flag}\\b`), ""))), undefined, flag);
  }
  assert.equal(kindFor("Features\t: fp asimd aes pmull\n"), undefined);
  assert.equal(kindFor(""), undefined);
});

Deno.test({
  name: "a session has a key for each direction, by HKDF-SHA256",
  ignore: WAYS.length === 0,
  async fn() {
    const secret = Uint8Array.from(seededRandom().bytes(32));
    const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
    const info = new TextEncoder().encode("meshnet sleeve gcm outbound");
    const params = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
    const expected = new Uint8Array(await crypto.subtle.deriveBits(params, base, 256));
    const deriveKey = await loadHkdf();
    const keys = gcmKeys(deriveKey, secret, true);
    assert.equal(toHex(keys.seal), toHex(expected));
    const [a, b] = [new AesGcm(keys), new AesGcm(gcmKeys(deriveKey, secret, false))];
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
