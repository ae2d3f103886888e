/** Hears when other programs change this host's firewall. */
import { FILE_EVENTS, Inotify } from "../../../ffi/inotify.ts";
import { after, type Millis } from "../../core/time.ts";
import { takeNotices } from "../../overlay/ports/notices.ts";
import type { Watcher } from "../../overlay/ports/watcher.ts";
import { FILTER_NOTICES } from "../../wire/filter/nft_numbers.ts";
import { concernsRules } from "../../wire/filter/nft_read.ts";
import { XTABLES_LOCK } from "../host/legacy_tables.ts";
import { openNetlinkIn } from "../host/netlink.ts";

/** What happens within this time is told together: programs change many rules at once. */
const GATHER_MS = 100;
/** Least time between two tellings. */
const PAUSE_MS = 1_000;

/** Tells of changes, at most once a second. */
export class FirewallNotices implements Watcher {
  #tellAt = Infinity;
  #told = -Infinity;

  /** `take`: takes what was heard, a bounded part of it, and says whether it matters. */
  constructor(
    readonly parts: Disposable & {
      readonly name: string;
      readonly fd: number;
      readonly take: () => boolean;
      readonly tell: () => void;
    },
  ) {}

  /** See Watcher. */
  get name(): string {
    return this.parts.name;
  }

  /** See Watcher. */
  get fd(): number {
    return this.parts.fd;
  }

  /** See Watcher. */
  drain(now: Millis): void {
    if (!this.parts.take() || this.#tellAt !== Infinity) return;
    this.#tellAt = Math.max(after(now, GATHER_MS), this.#told + PAUSE_MS);
  }

  /** See Watcher. */
  nextWake(): number {
    return this.#tellAt;
  }

  /** See Watcher. */
  wake(now: Millis): void {
    if (now < this.#tellAt) return;
    this.#tellAt = Infinity;
    this.#told = now;
    this.parts.tell();
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.parts[Symbol.dispose]();
  }
}

/** Changes of nf_tables, by whatever program. */
export function openFilterNotices(tell: () => void): Watcher {
  const socket = openNetlinkIn({ protocol: "netfilter", groups: [FILTER_NOTICES] });
  return new FirewallNotices({
    ...{ name: "rules of nf_tables", fd: socket.fd, tell },
    take() {
      let matters = false;
      const complete = takeNotices(socket, (notice) => matters ||= concernsRules(notice));
      return matters || !complete;
    },
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  });
}

/** Changes by iptables-legacy: the kernel tells of none, but all who make them take a lock, which is a file. */
export function openLockNotices(tell: () => void): Watcher {
  const inotify = new Inotify();
  const folder = XTABLES_LOCK.slice(0, XTABLES_LOCK.lastIndexOf("/"));
  const watchFile = () =>
    inotify.watch(XTABLES_LOCK, FILE_EVENTS.closedUnwritten | FILE_EVENTS.closedWritten);
  let known = watchFile();
  if (!known) {
    inotify.watch(folder, FILE_EVENTS.created);
    known = watchFile(); // it may have come meanwhile
  }
  return new FirewallNotices({
    ...{ name: "the lock of iptables-legacy", fd: inotify.fd, tell },
    take() {
      const heard = inotify.take();
      if (known) return heard;
      known = watchFile();
      return known;
    },
    [Symbol.dispose]: () => inotify[Symbol.dispose](),
  });
}
