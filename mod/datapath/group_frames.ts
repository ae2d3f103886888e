/** Frames from containers for everybody: which are a storm, and how many each sender may have carried. Pure. */
import type { Millis } from "../core/time.ts";

/** So many a second from all containers are suspicious. Streams to many may have as many: then they are looked into. */
export const STORM = 500;
/** The same frame so often within a second goes round. */
export const REPEATS = 32;
/** So many a second of one sender go on to all other hosts: broadcasts, and frames for groups. */
export const BOUNDS = { broadcast: 2_000, group: 20_000 } as const;
const WINDOW_MS = 1_000;
/** Octets by which a frame is known again. */
const COMPARED = 64;
/** Frames that are remembered. */
const SLOTS = 256;

/** What one sender has sent to one group. */
export interface GroupFlow {
  /** When the current second began, and what it saw. */
  windowAt: number;
  windowCount: number;
}

/** Counts them by the second. */
export class GroupFrames {
  readonly #storm: (repeated: boolean) => void;
  readonly #marks = new Int32Array(SLOTS);
  readonly #repeats = new Uint32Array(SLOTS);
  #windowAt = -Infinity;
  #count = 0;
  /** Frames beyond their sender's bound. */
  refused = 0;

  /** `storm` is called each time the same frame has come REPEATS times within a second, or STORM of any. */
  constructor(storm: (repeated: boolean) => void) {
    this.#storm = storm;
  }

  /** The one at `at` has come from a container. */
  seen(bytes: Uint8Array, at: number, end: number, now: Millis): void {
    if (now - this.#windowAt >= WINDOW_MS) {
      this.#windowAt = now;
      this.#count = 0;
      this.#repeats.fill(0);
    }
    this.#count++;
    const mark = markOf(bytes, at, Math.min(end, at + COMPARED));
    const slot = mark & SLOTS - 1;
    if (this.#repeats[slot] === 0) this.#marks[slot] = mark;
    if (this.#marks[slot] === mark) this.#repeats[slot]!++;
    const repeated = this.#marks[slot] === mark && this.#repeats[slot]! % REPEATS === 0;
    if (repeated || this.#count % STORM === 0) this.#storm(repeated);
  }

  /** Whether another one of this flow is carried. */
  allows(flow: GroupFlow, isBroadcast: boolean, now: Millis): boolean {
    if (now - flow.windowAt >= WINDOW_MS) {
      flow.windowAt = now;
      flow.windowCount = 0;
    }
    if (++flow.windowCount <= (isBroadcast ? BOUNDS.broadcast : BOUNDS.group)) return true;
    this.refused++;
    return false;
  }
}

/** FNV-1a, 32 bits. */
function markOf(bytes: Uint8Array, from: number, to: number): number {
  let mark = 0x811c9dc5 | 0;
  for (let i = from; i < to; i++) mark = Math.imul(mark ^ bytes[i]!, 0x01000193);
  return mark;
}
