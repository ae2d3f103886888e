/** The message by which the receiver of a direction tells the sender its association (source: spec dataplane.md 4.2). */
import { bad, type Decoded, good } from "../../core/brand.ts";

/** Octets of a nonce. */
export const ESP_NONCE_LENGTH = 32;
const LENGTH = 64;

/** What the sender must know. */
export interface EspInit {
  readonly nonce: Uint8Array;
  readonly spi: number;
}

/** Payload of the control message. */
export function encodeEspInit({ nonce, spi }: EspInit): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(LENGTH);
  payload.set(nonce.subarray(0, ESP_NONCE_LENGTH));
  new DataView(payload.buffer).setUint32(ESP_NONCE_LENGTH, spi);
  return payload;
}

/** Reads it; any other length is refused. */
export function decodeEspInit(payload: Uint8Array): Decoded<EspInit> {
  if (payload.length !== LENGTH) return bad(`it has ${payload.length} bytes instead of ${LENGTH}`);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const spi = view.getUint32(ESP_NONCE_LENGTH);
  if (spi < 0x100) return bad(`SPI ${spi} is reserved`);
  return good({ nonce: payload.slice(0, ESP_NONCE_LENGTH), spi });
}
