/** Overlay control messages (source: spec mesh.md, section 4.3). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { concatBytes } from "../../core/bytes.ts";
import { TAG } from "./mesh_tag.ts";

/** What one end's overlay tells the other end's. */
export type OverlayControl =
  /** `index` counts the overlays that both ends have, in the order of the sender. */
  | { readonly kind: "indexed"; readonly index: number; readonly innerTag: number; readonly body: Uint8Array }
  /** From or for a peer without the `Overlays` feature: always about sleeve. */
  | { readonly kind: "bare"; readonly innerTag: number; readonly body: Uint8Array };

/** A control message for a peer that announced `Overlays`. */
export function encodeOverlayControl(
  index: number,
  innerTag: number,
  body: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  return concatBytes(Uint8Array.of(TAG.overlayControl, index, innerTag), body);
}

/** A control message for a peer that did not announce `Overlays`; `innerTag` is 1, 2 or 3. */
export function encodeBareControl(
  innerTag: number,
  body: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  return concatBytes(Uint8Array.of(innerTag), body);
}

/** Decodes a message with tag 7 or, bare, with tag 1, 2 or 3. What this refuses must be ignored, no more. */
export function decodeOverlayControl(message: Uint8Array): Decoded<OverlayControl> {
  const [tag = -1, index = 0, innerTag = 0] = message;
  if (tag >= TAG.bareEstablished && tag <= TAG.bareMtu) {
    return good({ kind: "bare", innerTag: tag, body: message.subarray(1) });
  }
  if (tag !== TAG.overlayControl) return bad(`overlay control has tag ${tag}, expected 7 or 1 to 3`);
  if (message.length < 3) return bad(`overlay control has ${message.length} bytes, needs 3`);
  return good({ kind: "indexed", index, innerTag, body: message.subarray(3) });
}
