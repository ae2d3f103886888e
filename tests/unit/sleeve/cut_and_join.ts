/** Packets of a TAP into frames and back, whole lists at a time. */
import assert from "node:assert/strict";
import { type FrameChecksum, Joiner } from "../../../mod/sleeve/join.ts";
import { Segmenter } from "../../../mod/sleeve/segment.ts";

/** The frames that a packet of the TAP is cut into. */
export function cut(packet: Uint8Array, finish = true): Uint8Array<ArrayBuffer>[] {
  const input = new Uint8Array(packet.length + 3);
  input.set(packet, 3);
  const segmenter = new Segmenter(input);
  const count = segmenter.start(3, input.length, finish);
  const out = new Uint8Array(segmenter.longest + 4).fill(0xee);
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let length = 0; (length = segmenter.next(out, 2)) > 0;) {
    assert.ok(length <= segmenter.longest);
    frames.push(out.slice(2, 2 + length));
  }
  assert.equal(frames.length, count);
  return frames;
}

/** What a TAP is given for frames that came one after the other. */
export function join(
  frames: readonly Uint8Array[],
  checksum: FrameChecksum = "unknown",
  joinsUdp = false,
): Uint8Array<ArrayBuffer>[] {
  const input = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length + 14, 0)).fill(0xee);
  const delivered: Uint8Array<ArrayBuffer>[] = [];
  const joiner = new Joiner(input, (bytes, from, to) => delivered.push(bytes.slice(from, to)), joinsUdp);
  const places: [number, number][] = [];
  let at = 0;
  for (const frame of frames) {
    input.set(frame, at + 14);
    places.push([at + 14, at + 14 + frame.length]);
    at += 14 + frame.length;
  }
  for (const [from, to] of places) joiner.push(from, to, checksum);
  joiner.flush();
  joiner.flush();
  return delivered;
}
