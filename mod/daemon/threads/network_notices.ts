/** Hears from the kernel when this host's interfaces, addresses or routes change. */
import type { Ip } from "../../core/addr.ts";
import type { NoticeSocket } from "../../overlay/ports/datapath_port.ts";
import type { NetworkChange } from "../../overlay/ports/dataplane_messages.ts";
import { takeNotices } from "../../overlay/ports/notices.ts";
import { type NetworkNews, readNetworkNotice } from "../../wire/netlink/network_notice.ts";

/** Interfaces whose state is remembered; with more, all are forgotten, and each is news again. */
const MAX_INTERFACES = 4096;

/** What has changed, of which the socket, a member of NETWORK_NOTICES, tells. */
export class NetworkNotices {
  /** By index: whether it ran when it was last heard of. */
  readonly #interfaces = new Map<number, boolean>();

  constructor(readonly socket: NoticeSocket) {}

  /** What has changed since the last call; undefined: nothing that matters. News that were lost count as changes. */
  take(): NetworkChange | undefined {
    const addresses = new Map<Ip, boolean>();
    let changed = false;
    const complete = takeNotices(this.socket, (notice) => {
      for (const news of readNetworkNotice(notice)) {
        if (news.kind === "address") addresses.set(news.ip, news.present);
        changed = this.#matters(news) || changed;
      }
    });
    if (!changed && complete) return undefined;
    const gone = [...addresses].filter(([, present]) => !present).map(([ip]) => ip);
    const come = [...addresses].filter(([, present]) => present).map(([ip]) => ip);
    return { addresses: addresses.size > 0 || !complete, gone, come };
  }

  /** Interfaces tell of themselves for many reasons; what matters is that one begins to run. */
  #matters(news: NetworkNews): boolean {
    if (news.kind !== "interface") return true;
    const ran = this.#interfaces.get(news.index) ?? false;
    if (!news.running) this.#interfaces.delete(news.index);
    else if (this.#interfaces.size < MAX_INTERFACES) this.#interfaces.set(news.index, true);
    else this.#interfaces.clear();
    return news.running && !ran;
  }
}
