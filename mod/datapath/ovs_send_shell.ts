/** Sends gathered requests to the kernel's Open vSwitch: all at once if it takes that, else one by one. */
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import type { NetlinkWriter } from "../wire/netlink/netlink_writer.ts";
import type { UpcallSocket } from "../overlay/ports/datapath_port.ts";

/** Sends what a writer holds and resets it. Returns how many requests the kernel did not take; the log says why. */
export function sendGathered(
  socket: Pick<UpcallSocket, "sendFirst">,
  writer: NetlinkWriter,
  log: Logger,
): number {
  const { buffer, length } = writer;
  if (length === 0) return 0;
  writer.reset();
  try {
    socket.sendFirst(buffer, length);
    return 0;
  } catch (thrown) {
    log.debug("overlay/send-divided", { octets: length, reason: messageOf(thrown) });
    return sendEach(socket, buffer.subarray(0, length), log);
  }
}

/** A flow that is not sent is a flow that is wrong: each request has a try of its own. */
function sendEach(
  socket: Pick<UpcallSocket, "sendFirst">,
  requests: Uint8Array<ArrayBuffer>,
  log: Logger,
): number {
  const view = new DataView(requests.buffer, requests.byteOffset, requests.byteLength);
  let lost = 0;
  let last: unknown;
  for (let at = 0; at < requests.length;) {
    const length = view.getUint32(at, true);
    try {
      socket.sendFirst(requests.subarray(at, at + length), length);
    } catch (thrown) {
      lost++;
      last = thrown;
    }
    at += length + 3 & ~3; // messages begin at multiples of 4
  }
  if (lost > 0) log.warn("overlay/send-failed", { requests: lost, reason: messageOf(last) });
  return lost;
}
