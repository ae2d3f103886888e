/** The ciphers of mesh connections on @noble (source: spec mesh.md, section 2.4). The only importer of @noble. */
import type { DeriveKey, Sealer } from "../core/ports.ts";

// "expand 32-byte k" as little-endian words.
const SIGMA = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);

/** Stands in where there is no password, so that the ciphers need not be loaded: every method throws. */
export const NO_SEALER: Sealer = {
  publicKey: notLoaded,
  sessionKey: notLoaded,
  seal: notLoaded,
  open: notLoaded,
};

function notLoaded(): never {
  throw new TypeError("Cannot encrypt: the ciphers were not loaded because there is no password");
}

/** Derives keys: HKDF-SHA256. */
export async function loadHkdf(): Promise<DeriveKey> {
  const [{ hkdf }, { sha256 }] = await Promise.all([
    import("@noble/hashes/hkdf.js"),
    import("@noble/hashes/sha2.js"),
  ]);
  return (secret, { info, length, salt }) => hkdf(sha256, secret, salt, info, length);
}

/** Loads the ciphers. Call it once, and only when there is a password. */
export async function loadSealer(): Promise<Sealer> {
  const [{ hsalsa, xsalsa20poly1305 }, { x25519 }, { sha256 }] = await Promise.all([
    import("@noble/ciphers/salsa.js"),
    import("@noble/curves/ed25519.js"),
    import("@noble/hashes/sha2.js"),
  ]);

  /** NaCl's box key: HSalsa20 of the shared secret and 16 zero bytes; undefined for a degenerate public key. */
  function precompute(
    privateKey: Uint8Array,
    theirPublicKey: Uint8Array,
  ): Uint8Array<ArrayBuffer> | undefined {
    let shared: Uint8Array;
    try {
      shared = x25519.getSharedSecret(privateKey, theirPublicKey);
    } catch {
      return undefined; // a key of small order: the secret would be zero whatever our key is
    }
    const box = new Uint32Array(8);
    hsalsa(SIGMA, new Uint32Array(shared.slice().buffer), new Uint32Array(4), box);
    return new Uint8Array(box.buffer);
  }

  return {
    publicKey: (privateKey) => Uint8Array.from(x25519.getPublicKey(privateKey)),
    sessionKey(privateKey, theirPublicKey, password) {
      const box = precompute(privateKey, theirPublicKey);
      return box && Uint8Array.from(sha256.create().update(box).update(password).digest());
    },
    seal: (key, nonce, plain) => xsalsa20poly1305(key, nonce).encrypt(plain) as Uint8Array<ArrayBuffer>,
    open(key, nonce, sealed) {
      try {
        return xsalsa20poly1305(key, nonce).decrypt(sealed) as Uint8Array<ArrayBuffer>;
      } catch {
        return undefined; // too short or not authentic; key and nonce have fixed lengths
      }
    },
  };
}
