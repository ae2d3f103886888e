/** Looking at the interfaces of a namespace. */
import { ERRNO } from "../core/errno.ts";
import { errnoOf, MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { decodeLink, dumpLinks, getLink, type Link } from "../wire/netlink/rtnetlink.ts";

/** The link of a name or an index, or undefined. Throws for one that cannot be understood. */
export function linkOf(socket: NetlinkSocket, which: string | number): Link | undefined {
  try {
    const [reply] = socket.request(getLink(typeof which === "string" ? { name: which } : { index: which }));
    const decoded = reply === undefined ? undefined : decodeLink(reply);
    if (decoded?.ok === false) {
      throw new MeshnetError("netlink/request-failed", `Cannot understand link ${which}: ${decoded.reason}`);
    }
    return decoded?.value;
  } catch (thrown) {
    if (errnoOf(thrown) === ERRNO.ENODEV) return undefined;
    throw thrown;
  }
}

/** All links that can be understood: those of others may be odd. */
export function linksOf(socket: NetlinkSocket): readonly Link[] {
  return socket.request(dumpLinks()).flatMap((reply) => {
    const link = decodeLink(reply);
    return link.ok ? [link.value] : [];
  });
}
