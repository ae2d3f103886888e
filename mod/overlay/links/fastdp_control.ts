/** What the two ends of a fast path tell each other over the control connection. */
import type { ForwarderEvent } from "./forwarder.ts";

/** Control tag: your heartbeat arrived. */
export const FASTDP_HEARTBEAT_ACK = 0;
/** Control tag: your heartbeats do not arrive any more. Sent to peers that announced to understand it. */
export const FASTDP_DEAF = 2;
/** Control tag: this daemon is there, whatever became of its heartbeats. The answer to the one above, among peers that
 * announced it. */
export const FASTDP_HERE = 4;

const NO_PAYLOAD = new Uint8Array(0);
/** The peer's heartbeat arrived. */
export const ACK: ForwarderEvent = { kind: "control", tag: FASTDP_HEARTBEAT_ACK, payload: NO_PAYLOAD };
/** The peer's heartbeats do not arrive any more. */
export const DEAF: ForwarderEvent = { kind: "control", tag: FASTDP_DEAF, payload: NO_PAYLOAD };
/** This daemon is there. */
export const HERE: ForwarderEvent = { kind: "control", tag: FASTDP_HERE, payload: NO_PAYLOAD };
