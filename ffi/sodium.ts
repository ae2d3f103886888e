/** NaCl's secretbox by libsodium, in place: the quick way beside @noble. */
import { CipherPlace } from "./cipher_place.ts";
import { openLibrary } from "./libs.ts";

const SYMBOLS = {
  sodium_init: { parameters: [], result: "i32" }, // int sodium_init(void)
  // int crypto_secretbox_detached(unsigned char *c, unsigned char *mac, const unsigned char *m, unsigned long long mlen,
  //   const unsigned char *n, const unsigned char *k); addresses as integers
  crypto_secretbox_detached: { parameters: ["u64", "u64", "u64", "u64", "buffer", "buffer"], result: "i32" },
  // int crypto_secretbox_open_detached(unsigned char *m, const unsigned char *c, const unsigned char *mac,
  //   unsigned long long clen, const unsigned char *n, const unsigned char *k)
  crypto_secretbox_open_detached: {
    parameters: ["u64", "u64", "u64", "u64", "buffer", "buffer"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const KEY = 32;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function libsodium(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  if (opened !== undefined) return opened;
  const { symbols } = openLibrary("libsodium", SYMBOLS);
  symbols.sodium_init(); // also finds out what the CPU can do; more than once does no harm
  return opened = symbols;
}

/** A PacketCipher of the data plane: the tag is in the sixteen octets before the text. */
export class SodiumSecretbox {
  readonly #key = new Uint8Array(new ArrayBuffer(KEY));
  readonly #place = new CipherPlace();
  readonly #library = libsodium();

  /** Takes a copy of the 32-byte key. Throws MeshnetError "native/library-missing". */
  constructor(key: Uint8Array) {
    if (key.length !== KEY) throw new TypeError(`Key has not ${KEY} bytes: ${key.length}`);
    this.#key.set(key);
  }

  /** See PacketCipher. */
  seal(nonce: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): void {
    checkRange(bytes, at, end);
    this.#place.point(bytes, at, { end, inFront: 16 });
    const { values } = this.#place;
    this.#library.crypto_secretbox_detached(values[0]!, values[1]!, values[0]!, values[2]!, nonce, this.#key);
  }

  /** See PacketCipher. */
  open(nonce: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): boolean {
    checkRange(bytes, at, end);
    this.#place.point(bytes, at, { end, inFront: 16 });
    const { values } = this.#place;
    const { crypto_secretbox_open_detached: open } = this.#library;
    return open(values[0]!, values[0]!, values[1]!, values[2]!, nonce, this.#key) === 0;
  }
}

function checkRange(bytes: Uint8Array, at: number, end: number): void {
  if (at < 16 || end < at || end > bytes.length) throw new RangeError(`No packet there: ${at} to ${end}`);
}
