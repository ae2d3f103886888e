/** What the overlays at both ends of a link tell each other (source: spec mesh.md, section 4.3). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { TAG } from "./mesh_tag.ts";

/** A message from one end's overlay to the other end's. */
export interface OverlayControl {
  /** To or from a peer that is too old to name its overlays: always about sleeve. */
  readonly bare: boolean;
  /** Which overlay: its place among those that both ends have, in the sender's order. 0 if bare. */
  readonly index: number;
  /** What it says; each overlay has tags of its own. A bare message has 1, 2 or 3. */
  readonly tag: number;
  readonly payload: Uint8Array;
}

/** Writes a message: `07`, index, tag, payload; bare: tag, payload. */
export function encodeOverlayControl({ bare, index, tag, payload }: OverlayControl): Uint8Array<ArrayBuffer> {
  const head = bare ? [tag] : [TAG.overlayControl, index, tag];
  const message = new Uint8Array(head.length + payload.length);
  message.set(head);
  message.set(payload, head.length);
  return message;
}

/** Reads a message. The receiver ignores what this refuses, and keeps the connection. */
export function decodeOverlayControl(message: Uint8Array): Decoded<OverlayControl> {
  const [first = -1, index = 0, tag = 0] = message;
  if (first >= TAG.bareEstablished && first <= TAG.bareMtu) {
    return good({ bare: true, index: 0, tag: first, payload: message.subarray(1) });
  }
  if (first !== TAG.overlayControl) return bad(`overlay control has tag ${first}, expected 7 or 1 to 3`);
  if (message.length < 3) return bad(`overlay control has ${message.length} bytes, needs 3`);
  return good({ bare: false, index, tag, payload: message.subarray(3) });
}
