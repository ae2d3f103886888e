/** Hears from the kernel when this host's addresses change. */
import type { NoticeSocket } from "../overlay/ports/datapath_port.ts";
import { takeNotices } from "../overlay/ports/notices.ts";
import { tellsOfAddress } from "../wire/netlink/rtnetlink.ts";

/** Whether addresses have changed, of which the socket, a member of ADDRESS_NOTICES, tells. */
export class AddressNotices {
  constructor(readonly socket: NoticeSocket) {}

  /** Whether an address that others may know has come or gone since the last call. */
  take(): boolean {
    let changed = false;
    const complete = takeNotices(this.socket, (notice) => {
      changed ||= tellsOfAddress(notice);
    });
    return changed || !complete;
  }
}
