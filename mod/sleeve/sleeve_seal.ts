/** Sealing and opening sleeve's packets in place, and both directions' sequence numbers (source: spec dataplane.md 5.2). */
import type { DeriveKey, Sealer } from "../core/ports.ts";
import {
  isDfPacket,
  MAX_SEQUENCE,
  NONCE_BYTES,
  SEAL_TAG,
  SEALED_TAG_AT,
  sequenceOf,
  writeNonce,
  writeSequence,
} from "../wire/mesh/sleeve.ts";
import { ReplayWindow } from "./replay.ts";

/** Octets of a key of AES-256-GCM. */
const GCM_KEY = 32;

/** A cipher with its key, working in place: the tag is in the sixteen octets before the text. */
export interface PacketCipher {
  /** Enciphers `[at, end)` and writes the tag to `[at - 16, at)`. */
  seal(nonce: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): void;
  /** Deciphers `[at, end)` if the tag in `[at - 16, at)` is right; else leaves the octets undefined. */
  open(nonce: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>, at: number, end: number): boolean;
}

/** Makes ciphers for the links' session keys. */
export interface SleeveCiphers {
  /** NaCl's secretbox. */
  secretbox(sessionKey: Uint8Array): PacketCipher;
  /** AES-256-GCM with a key of its own for each direction; undefined where it cannot be had. It is announced only where
   * it can, so that this is the exception. `outbound`: we dialled. */
  gcm(sessionKey: Uint8Array, outbound: boolean): PacketCipher | undefined;
}

/** The keys of AES-256-GCM for a session, one for each direction; `outbound`: we dialled. */
export function gcmKeys(
  deriveKey: DeriveKey,
  sessionKey: Uint8Array,
  outbound: boolean,
): { readonly seal: Uint8Array; readonly open: Uint8Array } {
  const keyOf = (side: string) => {
    const info = new TextEncoder().encode(`meshnet sleeve gcm ${side}`);
    return deriveKey(sessionKey, { salt: new Uint8Array(0), info, length: GCM_KEY });
  };
  const [dialler, other] = [keyOf("outbound"), keyOf("inbound")];
  return outbound ? { seal: dialler, open: other } : { seal: other, open: dialler };
}

/** NaCl secretbox by the sealer of mesh connections. It allocates: for hosts without a native cipher. */
export function secretboxCipher(sealer: Sealer, key: Uint8Array): PacketCipher {
  return {
    seal(nonce, bytes, at, end) {
      bytes.set(sealer.seal(key, nonce, bytes.subarray(at, end)), at - SEAL_TAG);
    },
    open(nonce, bytes, at, end) {
      const plain = sealer.open(key, nonce, bytes.subarray(at - SEAL_TAG, end));
      if (plain !== undefined) bytes.set(plain, at);
      return plain !== undefined;
    },
  };
}

/** What became of a packet that was to be opened. */
export type Opening =
  /** Its frames are there. */
  | "open"
  /** Cut short, or with a number that no honest peer reaches. */
  | "damaged"
  /** Not sealed with this key, or changed on its way. */
  | "forged"
  /** Came before, or is too old to tell. */
  | "replayed";

/** Bounds of sequence numbers, for ciphers that may not be used for ever with one key. */
export interface SequenceLimits {
  /** From here on a new key should be agreed. */
  readonly rekeyAt: number;
  /** No packet is sealed with this number or a higher one. */
  readonly end: number;
}

/** NaCl's nonces never run out in a lifetime, so nobody needs to agree on new keys for their sake. */
export const SECRETBOX_LIMITS: SequenceLimits = { rekeyAt: 2 ** 52, end: MAX_SEQUENCE };

/** AES-GCM: 2^40 packets are 2^47 blocks at most, and no nonce is near its end; a new key is due well before. */
export const GCM_LIMITS: SequenceLimits = { rekeyAt: 2 ** 36, end: 2 ** 40 };

/** Both directions of a sealed link. Each channel of each direction has its own numbers from 0. */
export class SealedLink {
  /** Next number of our packets; index 1 is the DF channel. */
  readonly #next = [0, 0];
  readonly #windows = [new ReplayWindow(), new ReplayWindow()] as const;
  readonly #nonce = new Uint8Array(NONCE_BYTES);

  /** `outbound`: we dialled the connection. */
  constructor(
    readonly cipher: PacketCipher,
    readonly outbound: boolean,
    readonly limits: SequenceLimits = SECRETBOX_LIMITS,
  ) {}

  /** Whether either channel comes near its last number: it is time for a new key. */
  get rekeyNeeded(): boolean {
    return Math.max(this.#next[0]!, this.#next[1]!) >= this.limits.rekeyAt;
  }

  /** Seals the packet in `[from, to)`, whose frames stand in clear at `from + SEALED_FRAMES`. False: numbers have run
   * out, and the packet must not be sent. A number is used up even if the sending then fails. */
  seal(bytes: Uint8Array<ArrayBuffer>, from: number, to: number, df: boolean): boolean {
    const channel = df ? 1 : 0;
    const seq = this.#next[channel]!;
    if (seq >= this.limits.end) return false;
    this.#next[channel] = seq + 1;
    writeSequence(bytes, from, seq, df);
    writeNonce(this.#nonce, this.outbound, bytes, from);
    this.cipher.seal(this.#nonce, bytes, from + SEALED_TAG_AT + SEAL_TAG, to);
    return true;
  }

  /** Opens the packet in `[from, to)` in place. Only a packet that is authentic and new changes anything. */
  open(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): Opening {
    const seq = sequenceOf(bytes, from, to);
    if (seq < 0) return "damaged";
    const window = this.#windows[isDfPacket(bytes, from) ? 1 : 0]!;
    if (!window.isNew(seq)) return "replayed"; // spares the work; a forger learns nothing that he could not count
    writeNonce(this.#nonce, !this.outbound, bytes, from);
    if (!this.cipher.open(this.#nonce, bytes, from + SEALED_TAG_AT + SEAL_TAG, to)) return "forged";
    window.accept(seq);
    return "open";
  }
}
