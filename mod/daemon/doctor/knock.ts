/** Whether an address answers somebody in a namespace: by an attempt to connect, which every system accepts or refuses.
 * And by which of his own addresses he would send there. */
import { inNetns } from "../../../ffi/netns.ts";
import { StreamSocket } from "../../../ffi/stream_socket.ts";
import type { Ip } from "../../core/addr.ts";
import { ERRNO } from "../../core/errno.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { WayOut } from "../../doctor/path_verdict.ts";

/** Where hardly anybody listens (discard): a refusal tells as much. */
const PORT = 9;
/** How long an answer may take, and how often is looked for it, in milliseconds. */
const PATIENCE_MS = 1_000;
const LOOK_MS = 2;

/** After how many milliseconds it answered; undefined: it did not, or there is no way to it. */
export async function answersAfter(
  netns: string,
  ip: Ip,
  pause: (ms: number) => Promise<void>,
): Promise<number | undefined> {
  const began = performance.now();
  try {
    using socket = inNetns(netns, () => StreamSocket.connect("tcp", { ip, port: PORT }));
    while (performance.now() - began < PATIENCE_MS) {
      const written = socket.write(new Uint8Array(0)); // there is no room before it is connected
      const isRefused = written === -2 && /refused/i.test(socket.failure ?? "");
      if (written === 0 || isRefused) return Math.round((performance.now() - began) * 1000) / 1000;
      if (written === -2) return undefined;
      await pause(LOOK_MS);
    }
  } catch { /* the namespace is gone, or has no way there */ }
  return undefined;
}

/** What the routes of a namespace say of an address, without a packet. Undefined: it cannot be told. */
export function wayOutOf(netns: string, ip: Ip): WayOut | undefined {
  try {
    using socket = inNetns(netns, () => StreamSocket.connect("udp", { ip, port: PORT }));
    return socket.local?.ip;
  } catch (error) {
    const errno = error instanceof MeshnetError ? error.errno : undefined;
    return errno === ERRNO.ENETUNREACH || errno === ERRNO.EHOSTUNREACH ? "none" : undefined;
  }
}
