/** Keeps the TAP where it belongs and the switch's own leg closed: what others change about them is undone at once. */
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import { after, type Millis } from "../core/time.ts";
import { linksOfQdiscNotice, namesInNotice } from "../wire/netlink/rtnetlink.ts";
import type { NoticeSocket } from "../overlay/ports/datapath_port.ts";
import { takeNotices } from "../overlay/ports/notices.ts";
import type { TapPort } from "../overlay/ports/tap_port.ts";

/** Shortest time between two looks, however often somebody meddles. */
const LOOK_MS = 200;
/** After a failure it is tried again so much later. */
const RETRY_MS = 5_000;

/** What a keeper is made of. */
export interface TapKeeperParts {
  readonly tap: Pick<TapPort, "gone" | "remake">;
  /** Hears of every interface and of what it sends through (LINK_NOTICES, QDISC_NOTICES); the keeper disposes of it. */
  readonly notices: NoticeSocket;
  /** Interfaces whose change matters: the TAP, and what it hangs on. */
  readonly names: readonly string[];
  /** Puts everything in its place; planning again after success changes nothing. Says whether something had to change. */
  readonly put: () => boolean;
  readonly log: Logger;
  /** Called after something was mended: others may have to mend what hangs on it. */
  readonly mended?: (() => void) | undefined;
}

/** See the module's head. One thread, synchronous. */
export class TapKeeper implements Disposable {
  readonly #parts: TapKeeperParts;
  #lookAt = Infinity;
  #looked = -Infinity;
  /** Why the last look failed. */
  #told: string | undefined;
  /** How often something had to be mended. */
  mended = 0;

  constructor(parts: TapKeeperParts) {
    this.#parts = parts;
  }

  /** Ready when an interface of this host has changed. */
  get fd(): number {
    return this.#parts.notices.fd;
  }

  /** Takes what the kernel tells; `ready`: it tells something. A TAP that is gone is made again at once, because its
   * descriptor is never quiet until then. Throws when it cannot be made. */
  drain(ready: boolean, now: Millis): void {
    if (ready && this.#concerned()) this.suspect(now);
    const { gone } = this.#parts.tap;
    if (gone) this.#parts.tap.remake();
    if (gone) this.#look(now, true);
  }

  /** Something may be wrong: it is looked at soon. */
  suspect(now: Millis): void {
    this.#lookAt = Math.min(this.#lookAt, Math.max(now, this.#looked + LOOK_MS));
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    return this.#lookAt;
  }

  /** Looks, if it is time to. */
  wake(now: Millis): void {
    if (now >= this.#lookAt) this.#look(now, false);
  }

  #look(now: Millis, remade: boolean): void {
    const { log, put, mended } = this.#parts;
    this.#lookAt = Infinity;
    this.#looked = now;
    try {
      const changed = put();
      this.#told = undefined;
      if (!changed && !remade) return;
    } catch (thrown) {
      this.#lookAt = after(now, RETRY_MS);
      const reason = messageOf(thrown);
      if (reason !== this.#told) log.warn("overlay/tap-not-mended", { reason });
      this.#told = reason;
      return;
    }
    this.mended++;
    log.warn("overlay/tap-mended", {
      reason:
        "another program removed it, took it off its switch, changed its settings or opened this host's own leg",
    });
    mended?.();
  }

  /** Takes notices; true when one is of an interface that matters, or some were lost. */
  #concerned(): boolean {
    const { names, notices } = this.#parts;
    let concerned = false;
    const complete = takeNotices(notices, (notice) => {
      concerned ||= namesInNotice(notice).some((name) => names.includes(name)) ||
        linksOfQdiscNotice(notice).length > 0; // rare enough to look at whosever it is
    });
    return concerned || !complete;
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#parts.notices[Symbol.dispose]();
  }
}
