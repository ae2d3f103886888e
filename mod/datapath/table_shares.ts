/** How much of the bridge's table of addresses each port may have. Pure. */
import { after, type Millis } from "../core/time.ts";

/** Addresses that the bridge learns at a container: it, and what it may bridge to. */
export const PORT_SHARE = 1_024;
/** Addresses of other hosts' containers, behind the TAP. */
export const TAP_SHARE = 16_384;
/** A port that has used up its share is not learnt from for so long; twice as long each time, up to the longest. */
export const IGNORE_MS = 10_000;
const LONGEST_IGNORE_MS = 300_000;
/** After so long without another flood the time is the first one again. */
const FORGET_MS = 600_000;

/** What is to be done about ports. */
export interface ShareVerdict {
  /** Forget what was learnt there, and learn no more for a while. */
  readonly ignore: readonly number[];
  /** Forget what was learnt there; what is in use is learnt again at once. */
  readonly flush: readonly number[];
}

/** Remembers which ports are ignored, and until when. */
export class TableShares {
  readonly #ports = new Map<number, { until: number; ignored: boolean; time: number }>();

  /** Judges by how many addresses were learnt at each port. */
  judge(counts: ReadonlyMap<number, number>, tap: number | undefined, now: Millis): ShareVerdict {
    const ignore: number[] = [];
    const flush: number[] = [];
    for (const [port, count] of counts) {
      if (port === tap) {
        if (count > TAP_SHARE) flush.push(port);
      } else if (count > PORT_SHARE) ignore.push(port);
    }
    for (const [port, { ignored, until }] of this.#ports) {
      if (!ignored && now >= until + FORGET_MS) this.#ports.delete(port);
    }
    for (const port of ignore) {
      const before = this.#ports.get(port);
      const time = before === undefined ? IGNORE_MS : Math.min(2 * before.time, LONGEST_IGNORE_MS);
      this.#ports.set(port, { until: after(now, time), ignored: true, time });
    }
    return { ignore, flush };
  }

  /** Earliest time at which a port is to be learnt from again. */
  nextWake(): number {
    let at = Infinity;
    for (const { ignored, until } of this.#ports.values()) if (ignored) at = Math.min(at, until);
    return at;
  }

  /** Ports that are to be learnt from again. */
  due(now: Millis): readonly number[] {
    const due = [...this.#ports].filter(([, { ignored, until }]) => ignored && now >= until);
    for (const [, port] of due) port.ignored = false;
    return due.map(([port]) => port);
  }
}
