/** News of interfaces, as the kernel tells them. */
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import type { NoticeSocket } from "../../../mod/overlay/ports/datapath_port.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";

/** A log that nobody reads. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A notice that an interface came or changed (16), or went (17). */
export function linkNotice(name: string, type: 16 | 17 = 16): Uint8Array {
  const writer = new NetlinkWriter().begin(type, 0).u8(0).u8(0).u16(1).u32(7).u32(1).u32(0);
  return writer.attrText(3, name).attrU32(4, 1410).end().finish();
}

/** What waits in `queue`. */
export class LinkNotices implements NoticeSocket {
  readonly fd = 22;
  readonly queue: (Uint8Array | "overrun")[] = [];
  disposed = false;

  receive(): Uint8Array | undefined {
    const next = this.queue.shift();
    if (next !== "overrun") return next;
    throw new MeshnetError("native/call-failed", "Cannot receive", { errno: ERRNO.ENOBUFS });
  }
  [Symbol.dispose](): void {
    this.disposed = true;
  }
}

/** A leg that is closed already. */
export const CLOSED_LEG = { close: () => false };
