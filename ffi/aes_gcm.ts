/** AES-256-GCM, in place, by the fastest library that this host has. Meshnet peers seal with it among themselves. */
import { MeshnetError } from "../mod/core/errors.ts";
import { pointerOf } from "./address.ts";
import { CipherPlace } from "./cipher_place.ts";
import { OpensslGcm } from "./libcrypto.ts";
import { VectorGcm } from "./vector_gcm.ts";

const KEY = 32;
const IV = 12;
/** Where the text of a packet begins. */
const PACKET_HEADER = 30;

/** One direction. Of a packet only the nonce changes. */
class Direction {
  readonly iv: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(IV));
  readonly ivAddress = BigInt(pointerOf(this.iv));
  readonly vector: VectorGcm | undefined;
  readonly openssl: OpensslGcm | undefined;

  constructor(key: Uint8Array, seals: boolean, without: AesGcmOptions["without"]) {
    if (key.length !== KEY) throw new TypeError(`Key has not ${KEY} bytes: ${key.length}`);
    this.vector = without === "vector" ? undefined : VectorGcm.create(key);
    this.openssl = this.vector === undefined ? new OpensslGcm(key, seals) : undefined;
  }
}

/** How a cipher is made. */
export interface AesGcmOptions {
  /** A library that is not to be used although it is there. */
  readonly without?: "vector";
}

/** A PacketCipher of the data plane: tag in the sixteen octets before the text, the packet's sender bound to it. The last
 * eight octets of the nonce must never repeat for a key. */
export class AesGcm {
  readonly #sealing: Direction;
  readonly #opening: Direction;
  readonly #place = new CipherPlace();

  /** 32-byte keys, one for each direction: with one for both, nonces would repeat. Throws MeshnetError
   * "native/library-missing" where no library has it. */
  constructor(
    keys: { readonly seal: Uint8Array; readonly open: Uint8Array },
    { without }: AesGcmOptions = {},
  ) {
    this.#sealing = new Direction(keys.seal, true, without);
    this.#opening = new Direction(keys.open, false, without);
  }

  /** See PacketCipher. */
  seal(nonce: Uint8Array, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): void {
    const direction = this.#sealing;
    this.#point(direction, nonce, bytes, at, end);
    const { ivAddress, openssl, vector } = direction;
    const sealed = vector !== undefined
      ? vector.seal(ivAddress, this.#place)
      : openssl!.seal(ivAddress, this.#place, end - at);
    if (!sealed) throw new MeshnetError("native/call-failed", "Cannot seal a packet with AES-256-GCM");
  }

  /** See PacketCipher. */
  open(nonce: Uint8Array, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): boolean {
    const direction = this.#opening;
    this.#point(direction, nonce, bytes, at, end);
    const { ivAddress, openssl, vector } = direction;
    return vector !== undefined
      ? vector.open(ivAddress, this.#place, bytes, at)
      : openssl!.open(ivAddress, this.#place, end - at);
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
}
