/** How far what has come has been read. */
import type { Millis } from "../core/time.ts";
import type { PostEvent } from "../overlay/ports/datapath_port.ts";

/** Heartbeats of peers are misses, too: where many misses wait, the core must know that it has not heard all yet. */
export class Backlog {
  #readUntil = 0 as Millis;
  #told = false;

  /** Misses have been read at `now`. `more`: some may be left. Posts a change. */
  update(more: boolean, now: Millis, post: PostEvent): void {
    if (more !== this.#told) post({ kind: "backlog", since: more ? this.#readUntil : undefined });
    this.#told = more;
    if (!more) this.#readUntil = now;
  }
}
