/** Listens to what other programs do to the kernel's IPsec, and tells what may concern ours. */
import { IPPROTO } from "../wire/netlink/xfrm.ts";
import { decodeXfrmNotices, type XfrmNotice } from "../wire/netlink/xfrm_notice.ts";
import type { SaRecord } from "../wire/netlink/xfrm_reply.ts";
import type { NoticeSocket } from "../overlay/ports/datapath_port.ts";
import { takeNotices } from "../overlay/ports/notices.ts";
import { OWN_MARK } from "./xfrm_plan.ts";

/** What happened since the last look. */
export interface XfrmChanges {
  /** Policies or associations that may be ours have been changed by others, or news were lost. */
  readonly disturbed: boolean;
  /** Associations of ours that have carried as much as they should. */
  readonly worn: readonly SaRecord[];
}

/** The notices. However many there are, they come to one answer. */
export class XfrmWatch implements Disposable {
  constructor(
    readonly socket: NoticeSocket,
    /** `self`: port id of the socket whose changes are our own. `guards`: whether a policy's path is guarded. */
    readonly ours: {
      self(): number;
      guards(path: string): boolean;
    },
  ) {}

  /** Takes what has come, a bounded part of it. */
  take(): XfrmChanges {
    let disturbed = false;
    const worn: SaRecord[] = [];
    const complete = takeNotices(this.socket, (datagram) => {
      const notices = decodeXfrmNotices(datagram);
      if (!notices.ok) return void (disturbed = true);
      for (const notice of notices.value) {
        if (notice.kind === "expired" && !notice.hard && isOurs(notice.sa)) worn.push(notice.sa);
        else disturbed ||= this.#concerns(notice);
      }
    });
    return { disturbed: disturbed || !complete, worn };
  }

  #concerns(notice: XfrmNotice): boolean {
    if (notice.by === this.ours.self()) return false;
    switch (notice.kind) {
      case "policies-flushed":
      case "sas-flushed":
        return true;
      case "policy": {
        const { policy } = notice;
        if (policy === undefined || policy.protocol !== IPPROTO.udp) return false;
        return this.ours.guards(`${policy.src}>${policy.dst}:${policy.port}`) ||
          this.ours.guards(`${policy.dst}>${policy.src}:${policy.port}`);
      }
      case "sa-gone":
      case "expired":
        return isOurs(notice.sa);
      case "other":
        return false;
    }
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }
}

function isOurs(sa: SaRecord | undefined): sa is SaRecord {
  return sa?.reqid === OWN_MARK;
}
