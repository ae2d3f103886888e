/** Hears from the kernel when this host's addresses change. */
import { ERRNO } from "../core/errno.ts";
import { MeshnetError } from "../core/errors.ts";
import type { NoticeSocket } from "../overlay/datapath_port.ts";
import { tellsOfAddress } from "../wire/rtnetlink.ts";

/** Notices taken at a time; the rest is taken with the next look. */
const NOTICES = 64;

/** Whether addresses have changed, of which the socket, a member of ADDRESS_NOTICES, tells. */
export class AddressNotices {
  constructor(readonly socket: NoticeSocket) {}

  /** Whether an address that others may know has come or gone since the last call. */
  take(): boolean {
    let changed = false;
    try {
      for (let i = 0; i < NOTICES; i++) {
        const notice = this.socket.receive();
        if (notice === undefined) return changed;
        if (tellsOfAddress(notice)) changed = true;
      }
    } catch (thrown) {
      // Too many to be told one by one: that much has happened.
      if (thrown instanceof MeshnetError && thrown.errno === ERRNO.ENOBUFS) return true;
      throw thrown;
    }
    return changed;
  }
}
