/** User space's port of the kernel's datapath: packets between the TAP and the links, and the port's misses.
 *
 *     datapath --[ mesh-tap: frames with a tag for (link, peers) ]-- OvsSleeve --[ SleevePath ]-- UDP
 */
import { messageOf } from "../core/errors.ts";
import type { Millis } from "../core/time.ts";
import type { Miss, PortNo } from "../wire/netlink/ovs_keys.ts";
import type { Upcall } from "../wire/netlink/ovs_flow.ts";
import type { OvsAdapters, PostEvent } from "../overlay/ports/datapath_port.ts";
import type { OvsKernel } from "./ovs_kernel_shell.ts";
import type { SleeveCounts, SleeveEffect, SleevePort } from "../overlay/ports/sleeve_port.ts";
import { type SleeveTags, withoutTag } from "./sleeve_tags.ts";
import { TaggedLinks, type UserSpace } from "./tagged_links_shell.ts";
import { TapKeeper } from "./tap_keeper.ts";
import type { TapPort } from "../overlay/ports/tap_port.ts";

/** Packets taken from the TAP by one call of drain(): the links come in between. */
const PACKETS = 64;
/** What may have come before we told the kernel what to do; as many as a TAP queues, and more. */
const OLD_PACKETS = 4_096;

/** What user space's port hangs on. */
interface Around extends Pick<OvsAdapters, "openLinkNotices" | "log"> {
  readonly kernel: OvsKernel;
}

/** See the module's head. One thread, synchronous. */
export class OvsSleeve implements Disposable {
  readonly #links: TaggedLinks;
  readonly #tap: TapPort;
  readonly #keeper: TapKeeper;
  #port: PortNo;
  #begun = false;

  /** `port` is what the kernel made of the TAP. */
  constructor(parts: UserSpace, port: PortNo, around: Around) {
    const { kernel, log, openLinkNotices } = around;
    const { tap } = parts;
    this.#tap = tap;
    this.#port = port;
    const put = () => {
      const changedLeg = kernel.keepLeg();
      const { port, changed } = kernel.addTap(tap.name);
      this.#port = port.port;
      return changedLeg || changed;
    };
    this.#keeper = new TapKeeper({
      tap,
      notices: openLinkNotices(),
      names: [tap.name, kernel.name],
      put,
      log,
    });
    this.#links = new TaggedLinks(parts);
  }

  /** Which tag stands for what. */
  get tags(): SleeveTags {
    return this.#links.tags;
  }

  /** The links' end. */
  get path(): SleevePort {
    return this.#links.path;
  }

  /** User space's port; another one after somebody removed it. */
  get port(): PortNo {
    return this.#port;
  }

  /** Descriptors: the TAP's, that of news of interfaces, then the links'. */
  get fds(): readonly number[] {
    return [this.#tap.fd, this.#keeper.fd, ...this.path.fds];
  }

  /** A port has gone: if it was user space's, it is put back. */
  lost(port: PortNo, now: Millis): void {
    if (port === this.#port) this.#keeper.suspect(now);
  }

  /** See Datapath. */
  nextWake(): number {
    return this.#keeper.nextWake();
  }

  /** See Datapath. */
  wake(now: Millis): void {
    this.#keeper.wake(now);
  }

  /** See SleevePath. */
  perform(effect: SleeveEffect, now: Millis): void {
    if (effect.kind === "sleeve-close") this.tags.closeLink(effect.link);
    this.path.perform(effect, now);
  }

  /** A miss of the port as the core knows it; undefined: the frame is of nobody. */
  missOf({ miss, tag, taggedTwice }: Extract<Upcall, { kind: "miss" }>): Miss | undefined {
    const { ethDst, ethSrc, inPort } = miss.key;
    const sleeve = tag === 0 ? undefined : this.tags.keyOf(tag);
    if (sleeve === undefined) {
      this.#links.dropped.unknownTag++;
      return undefined;
    }
    const key = { inPort, sleeve, ethSrc, ethDst, tagged: taggedTwice || undefined };
    return { key, frame: withoutTag(miss.frame) };
  }

  /** Carries a bounded part of what waits, in both directions. True when there may be more. */
  drain(
    post: PostEvent,
    at: { readonly now: Millis; readonly isReady: (index: number) => boolean },
  ): boolean {
    if (!this.#begun) this.#begin();
    let more = at.isReady(0) && this.#readTap();
    this.#keeper.drain(at.isReady(1), at.now);
    if (this.path.drain(post, { now: at.now, isReady: (index) => at.isReady(index + 2) })) more = true;
    return more;
  }

  /** Throws away what flows of an earlier process have put into the TAP: its tags meant something else. */
  #begin(): void {
    this.#begun = true;
    for (let i = 0; i < OLD_PACKETS && this.#tap.read(0) > 0; i++) this.#links.dropped.unknownTag++;
  }

  #readTap(): boolean {
    for (let i = 0; i < PACKETS; i++) {
      const to = this.#tap.read(0);
      if (to === 0) return false;
      this.#links.send(to);
    }
    return true;
  }

  /** Counts of the links' end and of the port. */
  counts(): SleeveCounts {
    return this.#links.counts();
  }

  /** How often the port had to be put back. */
  get mended(): number {
    return this.#keeper.mended;
  }

  /** Closes the links' end and the TAP: the port goes. */
  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]();
    this.#links[Symbol.dispose]();
  }
}

/** Makes the TAP a port, or says in the log why it cannot be: there is no sleeve then, but everything else. */
export function openUserSpace(userSpace: UserSpace, around: Around): OvsSleeve | undefined {
  let port: PortNo;
  try {
    port = around.kernel.addTap(userSpace.tap.name).port.port;
  } catch (thrown) {
    userSpace[Symbol.dispose]();
    around.log.warn("overlay/sleeve-unavailable", { reason: messageOf(thrown) });
    return undefined;
  }
  return new OvsSleeve(userSpace, port, around);
}
