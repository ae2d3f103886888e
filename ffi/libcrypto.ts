/** AES-256-GCM by OpenSSL's libcrypto, in place. Meshnet peers seal with it among themselves. */
import { MeshnetError } from "../mod/core/errors.ts";
import { pointerOf } from "./address.ts";
import { CipherPlace } from "./cipher_place.ts";
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
  EVP_sha256: { parameters: [], result: "pointer" }, // const EVP_MD *EVP_sha256(void)
  // unsigned char *HMAC(const EVP_MD *, const void *key, int key_len, const unsigned char *data, size_t data_len,
  //   unsigned char *md, unsigned int *md_len)
  HMAC: {
    parameters: ["pointer", "buffer", "i32", "buffer", "usize", "buffer", "buffer"],
    result: "pointer",
  },
} as const satisfies Deno.ForeignLibraryInterface;

// openssl/evp.h
const CTRL = { getTag: 0x10, setTag: 0x11 } as const;
const KEY = 32;
const TAG = 16;
const IV = 12;
/** The sender's name at the start of a packet is authenticated with it; its text begins 30 octets on. */
const SENDER = 6;
const BOUND = BigInt(SENDER);
const PACKET_HEADER = 30;
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

/** One direction: a key, expanded once. Of a packet only the nonce changes. */
class Direction {
  readonly context: bigint;
  readonly iv: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(IV));
  readonly ivAddress = BigInt(pointerOf(this.iv));
  /** For short texts, where it can be had. */
  readonly short: ShortGcm | undefined;

  constructor(key: Uint8Array, readonly seals: boolean) {
    if (key.length !== KEY) throw new TypeError(`Key has not ${KEY} bytes: ${key.length}`);
    const library = libcrypto();
    this.context = library.EVP_CIPHER_CTX_new();
    const copy = new Uint8Array(new ArrayBuffer(KEY));
    copy.set(key);
    const cipher = library.EVP_aes_256_gcm();
    const made = this.context !== NULL &&
      library.EVP_CipherInit_ex(this.context, cipher, NULL, BigInt(pointerOf(copy)), NULL, seals ? 1 : 0) ===
        1;
    copy.fill(0);
    if (!made) throw new MeshnetError("native/call-failed", "Cannot prepare AES-256-GCM");
    unused.register(this, this.context);
    this.short = ShortGcm.create(key);
  }
}

function hmac(key: Uint8Array<ArrayBuffer>, data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(new ArrayBuffer(KEY));
  const library = libcrypto();
  const length = new Uint8Array(new ArrayBuffer(4));
  const made = library.HMAC(library.EVP_sha256(), key, key.length, data, BigInt(data.length), out, length);
  if (made === null) throw new MeshnetError("native/call-failed", "Cannot derive a key");
  return out;
}

/** HKDF-SHA256 (RFC 5869) without salt: 32 bytes from a secret, for one purpose. */
export function deriveKey(secret: Uint8Array, purpose: string): Uint8Array<ArrayBuffer> {
  const random = hmac(new Uint8Array(KEY), Uint8Array.from(secret));
  return hmac(random, Uint8Array.from([...new TextEncoder().encode(purpose), 1]));
}

/** A PacketCipher of the data plane: tag in the sixteen octets before the text, the packet's sender bound to it. The last
 * eight octets of the nonce must never repeat for a key. */
export class AesGcm {
  readonly #sealing: Direction;
  readonly #opening: Direction;
  readonly #place = new CipherPlace();
  /** Where OpenSSL writes what nobody reads: how many octets it wrote, and octets at the end, of which there are none. */
  readonly #waste = new Uint8Array(new ArrayBuffer(64));
  readonly #length = BigInt(pointerOf(this.#waste));
  readonly #rest = this.#length + 32n;
  readonly #library = libcrypto();

  /** 32-byte keys, one for each direction: with one for both, nonces would repeat. Throws MeshnetError
   * "native/library-missing". */
  constructor(keys: { readonly seal: Uint8Array; readonly open: Uint8Array }) {
    this.#sealing = new Direction(keys.seal, true);
    this.#opening = new Direction(keys.open, false);
  }

  /** The cipher of a link with this session key; `outbound`: we dialled. */
  static ofSession(sessionKey: Uint8Array, outbound: boolean): AesGcm {
    const [dialler, other] = ["outbound", "inbound"].map((side) =>
      deriveKey(sessionKey, `meshnet sleeve gcm ${side}`)
    );
    return new AesGcm(outbound ? { seal: dialler!, open: other! } : { seal: other!, open: dialler! });
  }

  /** See PacketCipher. */
  seal(nonce: Uint8Array, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): void {
    const direction = this.#sealing;
    this.#point(direction, nonce, bytes, at, end);
    const { context, ivAddress, short } = direction;
    const sealed = short !== undefined && end - at <= SHORT
      ? short.seal(ivAddress, this.#place, BOUND)
      : this.#run(direction, end - at) &&
        this.#library.EVP_CipherFinal_ex(context, this.#rest, this.#length) === 1 &&
        this.#library.EVP_CIPHER_CTX_ctrl(context, CTRL.getTag, TAG, this.#place.values[1]!) === 1;
    if (!sealed) throw new MeshnetError("native/call-failed", "Cannot seal a packet with AES-256-GCM");
  }

  /** See PacketCipher. */
  open(nonce: Uint8Array, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): boolean {
    const direction = this.#opening;
    this.#point(direction, nonce, bytes, at, end);
    const { context, ivAddress, short } = direction;
    if (short !== undefined && end - at <= SHORT) return short.open(ivAddress, this.#place, BOUND);
    return this.#run(direction, end - at) &&
      this.#library.EVP_CIPHER_CTX_ctrl(context, CTRL.setTag, TAG, this.#place.values[1]!) === 1 &&
      this.#library.EVP_CipherFinal_ex(context, this.#rest, this.#length) === 1;
  }

  /** Makes nonce and addresses of a packet ready. */
  #point(
    { iv }: Direction,
    nonce: Uint8Array,
    bytes: Uint8Array<ArrayBuffer>,
    at: number,
    end: number,
  ): void {
    if (at < PACKET_HEADER || end < at || end > bytes.length) {
      throw new RangeError(`No packet there: ${at} to ${end}`);
    }
    for (let i = 0; i < 8; i++) iv[IV - 8 + i] = nonce[nonce.length - 8 + i]!;
    this.#place.point(bytes, at, { end, inFront: PACKET_HEADER });
  }

  /** All of a packet but its tag. */
  #run({ context, ivAddress }: Direction, length: number): boolean {
    const { values } = this.#place;
    const library = this.#library;
    return library.EVP_CipherInit_ex(context, NULL, NULL, NULL, ivAddress, KEEP) === 1 &&
      library.EVP_CipherUpdate(context, NULL, this.#length, values[3]!, SENDER) === 1 &&
      library.EVP_CipherUpdate(context, values[0]!, this.#length, values[0]!, length) === 1;
  }
}
