/** AES-256-GCM by OpenSSL's libcrypto, in place: on any processor. */
import { MeshnetError } from "../mod/core/errors.ts";
import { pointerOf } from "./address.ts";
import { BOUND, type CipherPlace } from "./cipher_place.ts";
import { openLibrary } from "./libs.ts";
import { ShortGcm } from "./sodium_gcm.ts";

const SYMBOLS = {
  // What is called for each packet takes addresses as integers throughout: a buffer costs 20 ns more in each call.
  EVP_CIPHER_CTX_new: { parameters: [], result: "u64" }, // EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void)
  EVP_CIPHER_CTX_free: { parameters: ["u64"], result: "void" }, // void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *)
  EVP_aes_256_gcm: { parameters: [], result: "u64" }, // const EVP_CIPHER *EVP_aes_256_gcm(void)
  // int EVP_CipherInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *key,
  //   const unsigned char *iv, int enc)
  EVP_CipherInit_ex: { parameters: ["u64", "u64", "u64", "u64", "u64", "i32"], result: "i32" },
  // int EVP_CipherUpdate(EVP_CIPHER_CTX *, unsigned char *out, int *outl, const unsigned char *in, int inl)
  EVP_CipherUpdate: { parameters: ["u64", "u64", "u64", "u64", "i32"], result: "i32" },
  // int EVP_CipherFinal_ex(EVP_CIPHER_CTX *, unsigned char *outm, int *outl)
  EVP_CipherFinal_ex: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *, int type, int arg, void *ptr)
  EVP_CIPHER_CTX_ctrl: { parameters: ["u64", "i32", "i32", "u64"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

// openssl/evp.h
const CTRL = { getTag: 0x10, setTag: 0x11 } as const;
const KEY = 32;
const TAG = 16;
const NULL = 0n;
const KEEP = -1; // as a direction: the one that the context has
/** Texts up to here are short: libsodium does them in one call. OpenSSL is as fast from 1,400 octets on, or faster. */
const SHORT = 512;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
let opened: Symbols | undefined;

function libcrypto(): Symbols {
  return opened ??= openLibrary("libcrypto", SYMBOLS).symbols;
}

/** Frees the contexts of ciphers that are garbage. */
const unused = new FinalizationRegistry<bigint>((context) => libcrypto().EVP_CIPHER_CTX_free(context));

/** One key for one direction, expanded once. */
export class OpensslGcm {
  readonly #library = libcrypto();
  readonly #context: bigint;
  /** Where OpenSSL writes what nobody reads: how many octets it wrote, and octets at the end, of which there are none. */
  readonly #waste = new Uint8Array(new ArrayBuffer(64));
  readonly #length = BigInt(pointerOf(this.#waste));
  readonly #rest = this.#length + 32n;
  /** For short texts, where it can be had. */
  readonly #short: ShortGcm | undefined;

  /** A key of 32 octets; `seals`: it is for sealing and never opens. Throws MeshnetError "native/library-missing". */
  constructor(key: Uint8Array, seals: boolean) {
    const library = this.#library;
    this.#context = library.EVP_CIPHER_CTX_new();
    const copy = new Uint8Array(new ArrayBuffer(KEY));
    copy.set(key);
    const cipher = library.EVP_aes_256_gcm();
    const made = this.#context !== NULL &&
      library.EVP_CipherInit_ex(this.#context, cipher, NULL, BigInt(pointerOf(copy)), NULL, seals ? 1 : 0) ===
        1;
    copy.fill(0);
    if (!made) throw new MeshnetError("native/call-failed", "Cannot prepare AES-256-GCM");
    unused.register(this, this.#context);
    this.#short = ShortGcm.create(key);
  }

  /** Enciphers the text at `place`, of `length` octets, and writes its tag; the packet's sender is authenticated
   * too. `iv`: where the nonce is. */
  seal(iv: bigint, place: CipherPlace, length: number): boolean {
    if (this.#short !== undefined && length <= SHORT) return this.#short.seal(iv, place);
    const library = this.#library;
    return this.#run(iv, place, length) &&
      library.EVP_CipherFinal_ex(this.#context, this.#rest, this.#length) === 1 &&
      library.EVP_CIPHER_CTX_ctrl(this.#context, CTRL.getTag, TAG, place.values[1]!) === 1;
  }

  /** Deciphers the text at `place`; false: its tag is wrong, and the text is worth nothing. */
  open(iv: bigint, place: CipherPlace, length: number): boolean {
    if (this.#short !== undefined && length <= SHORT) return this.#short.open(iv, place);
    const library = this.#library;
    return this.#run(iv, place, length) &&
      library.EVP_CIPHER_CTX_ctrl(this.#context, CTRL.setTag, TAG, place.values[1]!) === 1 &&
      library.EVP_CipherFinal_ex(this.#context, this.#rest, this.#length) === 1;
  }

  /** All of a packet but its tag. */
  #run(iv: bigint, { values }: CipherPlace, length: number): boolean {
    const library = this.#library;
    const context = this.#context;
    return library.EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, KEEP) === 1 &&
      library.EVP_CipherUpdate(context, NULL, this.#length, values[3]!, BOUND) === 1 &&
      library.EVP_CipherUpdate(context, values[0]!, this.#length, values[0]!, length) === 1;
  }
}
