/** Taking what the kernel tells those who have joined its groups. */
import { ERRNO } from "../../core/errno.ts";
import { errnoOf } from "../../core/errors.ts";
import type { NoticeSocket } from "./datapath_port.ts";

/** Most datagrams of one round. If there are more, the descriptor stays ready for the next round. */
const BATCH = 256;

/** Hands over what a socket has heard, a bounded part of it. False: news were lost, so anything may have happened. */
export function takeNotices(
  socket: Pick<NoticeSocket, "receive">,
  take: (notice: Uint8Array) => void,
): boolean {
  try {
    for (let i = 0; i < BATCH; i++) {
      const notice = socket.receive();
      if (notice === undefined) break;
      take(notice);
    }
    return true;
  } catch (thrown) {
    if (errnoOf(thrown) !== ERRNO.ENOBUFS) throw thrown;
    return false;
  }
}
