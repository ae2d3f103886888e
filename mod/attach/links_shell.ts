/** Looking at the links of a namespace. */
import type { Decoded } from "../core/brand.ts";
import { ERRNO } from "../core/errno.ts";
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import * as rt from "../wire/netlink/rtnetlink.ts";

/** Decodes what must be right because a kernel wrote it. */
export function sure<T>(decoded: Decoded<T>): T {
  if (decoded.ok) return decoded.value;
  throw new MeshnetError("netlink/request-failed", `Cannot understand kernel's answer: ${decoded.reason}`);
}

/** Whether a request failed with this errno. */
export function failedWith(thrown: unknown, ...errnos: readonly number[]): boolean {
  return thrown instanceof MeshnetError && thrown.errno !== undefined && errnos.includes(thrown.errno);
}

/** The link of that name or index, or undefined. */
export function findLink(socket: NetlinkSocket, which: string | number): rt.Link | undefined {
  try {
    const [reply] = socket.request(
      rt.getLink(typeof which === "string" ? { name: which } : { index: which }),
    );
    return reply === undefined ? undefined : sure(rt.decodeLink(reply));
  } catch (thrown) {
    if (failedWith(thrown, ERRNO.ENODEV)) return undefined;
    throw thrown;
  }
}

/** All links of the socket's namespace. */
export function listLinks(socket: NetlinkSocket): readonly rt.Link[] {
  return socket.request(rt.dumpLinks()).map((reply) => sure(rt.decodeLink(reply)));
}
