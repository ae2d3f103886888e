/** AES-256-GCM by libsodium, in one call for a packet: for short packets, where OpenSSL's five calls cost more than the
 * work. Processors with instructions for it only. */
import { pointerOf } from "./address.ts";
import { BOUND, type CipherPlace } from "./cipher_place.ts";
import { openLibrary } from "./libs.ts";

// Addresses come as integers: a buffer costs 20 ns more in each call.
const SYMBOLS = {
  sodium_init: { parameters: [], result: "i32" }, // int sodium_init(void)
  crypto_aead_aes256gcm_is_available: { parameters: [], result: "i32" }, // int crypto_aead_aes256gcm_is_available(void)
  // int crypto_aead_aes256gcm_beforenm(crypto_aead_aes256gcm_state *ctx_, const unsigned char *k)
  crypto_aead_aes256gcm_beforenm: { parameters: ["u64", "buffer"], result: "i32" },
  // int crypto_aead_aes256gcm_encrypt_detached_afternm(unsigned char *c, unsigned char *mac, unsigned long long *maclen_p,
  //   const unsigned char *m, unsigned long long mlen, const unsigned char *ad, unsigned long long adlen,
  //   const unsigned char *nsec, const unsigned char *npub, const crypto_aead_aes256gcm_state *ctx_)
  crypto_aead_aes256gcm_encrypt_detached_afternm: {
    parameters: ["u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64"],
    result: "i32",
  },
  // int crypto_aead_aes256gcm_decrypt_detached_afternm(unsigned char *m, unsigned char *nsec, const unsigned char *c,
  //   unsigned long long clen, const unsigned char *mac, const unsigned char *ad, unsigned long long adlen,
  //   const unsigned char *npub, const crypto_aead_aes256gcm_state *ctx_)
  crypto_aead_aes256gcm_decrypt_detached_afternm: {
    parameters: ["u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
/** null: it cannot be had here. */
let opened: Symbols | null | undefined;

function libsodium(): Symbols | null {
  if (opened !== undefined) return opened;
  try {
    const { symbols } = openLibrary("libsodium", SYMBOLS);
    symbols.sodium_init(); // finds out what the CPU can do
    return opened = symbols.crypto_aead_aes256gcm_is_available() === 1 ? symbols : null;
  } catch {
    return opened = null; // not installed, or built without it
  }
}

/** Octets of an expanded key, crypto_aead_aes256gcm_state, and where it must be aligned. */
const STATE = 512;
const ALIGNMENT = 16;
const BOUND_SIZE = BigInt(BOUND);

/** One key, expanded once. What it seals any AES-256-GCM opens, and the other way round. */
export class ShortGcm {
  readonly #state = new Uint8Array(new ArrayBuffer(STATE + ALIGNMENT));
  readonly #address: bigint;

  private constructor(readonly library: Symbols, key: Uint8Array) {
    const start = pointerOf(this.#state);
    this.#address = BigInt(Math.ceil(start / ALIGNMENT) * ALIGNMENT);
    const copy = Uint8Array.from(key);
    library.crypto_aead_aes256gcm_beforenm(this.#address, copy);
    copy.fill(0);
  }

  /** Undefined where libsodium or the processor does not have it. */
  static create(key: Uint8Array): ShortGcm | undefined {
    const library = libsodium();
    return library === null ? undefined : new ShortGcm(library, key);
  }

  /** Enciphers the text at `place` and writes its tag; the packet's sender is authenticated too.
   * `iv`: where the nonce is. */
  seal(iv: bigint, { values }: CipherPlace): boolean {
    const [text, tag, length, sender] = [values[0]!, values[1]!, values[2]!, values[3]!];
    const { crypto_aead_aes256gcm_encrypt_detached_afternm: seal } = this.library;
    return seal(text, tag, 0n, text, length, sender, BOUND_SIZE, 0n, iv, this.#address) === 0;
  }

  /** Deciphers the text at `place` if its tag is right. */
  open(iv: bigint, { values }: CipherPlace): boolean {
    const [text, tag, length, sender] = [values[0]!, values[1]!, values[2]!, values[3]!];
    const { crypto_aead_aes256gcm_decrypt_detached_afternm: open } = this.library;
    return open(text, 0n, text, length, tag, sender, BOUND_SIZE, iv, this.#address) === 0;
  }
}
