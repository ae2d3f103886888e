/** What looks after something of this host in the data plane's thread, besides moving frames. */
import type { Millis } from "../../core/time.ts";

/** It hears of changes by a descriptor and of time by itself. One thread, synchronous. */
export interface Watcher extends Disposable {
  /** For people: what failed when something failed. */
  readonly name: string;
  /** Ready when drain() has something to do. */
  readonly fd: number;
  /** Takes what there is to hear, a bounded part of it. */
  drain(now: Millis): void;
  /** Earliest time at which wake() has something to do; Infinity when there is none. The loop asks after each drain() and
   * wake(). When another call changes this time, its caller must tell the loop, as BridgeDatapath does. */
  nextWake(): number;
  /** Does what is due; early calls are harmless. */
  wake(now: Millis): void;
}
