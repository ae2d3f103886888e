import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { BOUNDS, GroupFrames, REPEATS, STORM } from "../../../mod/datapath/group_frames.ts";

const at = (ms: number) => ms as Millis;

function trial() {
  const storms: boolean[] = [];
  const frames = new GroupFrames((repeated) => void storms.push(repeated));
  const see = (n: number, now: number) => {
    const frame = new Uint8Array(60).fill(0xff, 0, 6);
    new DataView(frame.buffer).setUint32(20, n);
    frames.seen(frame, 0, frame.length, at(now));
  };
  return { frames, see, storms };
}

Deno.test("GroupFrames takes a frame that comes over and over for a loop", () => {
  const { see, storms } = trial();
  for (let i = 1; i < REPEATS; i++) see(7, 0);
  assert.deepEqual(storms, []);
  see(7, 10);
  assert.deepEqual(storms, [true]);
});

Deno.test("GroupFrames suspects many different frames, and no few", () => {
  const { see, storms } = trial();
  for (let i = 1; i < STORM; i++) see(i, 0);
  for (let i = 1; i < STORM; i++) see(i, 1_000);
  assert.deepEqual(storms, []);
  see(STORM, 1_000);
  assert.deepEqual(storms, [false]);
});

Deno.test("GroupFrames lets one sender have so many carried, and counts the others", () => {
  const { frames } = trial();
  const flow = { windowAt: -Infinity, windowCount: 0 };
  let carried = 0;
  for (let i = 0; i < 5_000; i++) if (frames.allows(flow, true, at(i / 10))) carried++;
  assert.deepEqual([carried, frames.refused], [BOUNDS.broadcast, 5_000 - BOUNDS.broadcast]);
  assert.equal(frames.allows(flow, true, at(1_000)), true);
});
