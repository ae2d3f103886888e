/** Sealing the messages of one encrypted connection (source: spec mesh.md, section 2.4). */
import type { Sealer } from "../../core/ports.ts";

const MARK_TCP = 0x40;
const MARK_DIALER = 0x80;
/** How much longer a sealed message is than its content. */
export const SEAL_OVERHEAD = 16;

/** The nonce of one direction's message number `seq`; `outbound`: its sender dialled the connection. */
export function nonce(outbound: boolean, seq: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(24);
  bytes[0] = MARK_TCP | (outbound ? MARK_DIALER : 0);
  new DataView(bytes.buffer).setBigUint64(16, seq);
  return bytes;
}

/**
 * Both directions of one connection, each with its own counter. Messages must be written in the order in which they
 * were sealed and opened in the order in which they arrived.
 */
export class SealedStream {
  #sent = 0n;
  #received = 0n;

  /** `outbound`: we dialled. `key` is the session key, 32 bytes. */
  constructor(
    readonly sealer: Sealer,
    readonly options: { readonly key: Uint8Array; readonly outbound: boolean },
  ) {}

  /** Seals our next message. */
  seal(plain: Uint8Array): Uint8Array<ArrayBuffer> {
    const { key, outbound } = this.options;
    return this.sealer.seal(key, nonce(outbound, this.#sent++), plain);
  }

  /** Opens the remote's next message; undefined when it does not authenticate, which ends the connection. */
  open(sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const { key, outbound } = this.options;
    return this.sealer.open(key, nonce(!outbound, this.#received++), sealed);
  }
}
