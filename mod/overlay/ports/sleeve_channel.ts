/** How a frame goes into a sleeve link (source: spec dataplane.md 5.7). */
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import { IPV4_DF, ipv4HeaderOf, isIpv6, u16At } from "../../wire/packet/inner_frame.ts";
import { IPV6_MIN_MTU } from "../../wire/packet/icmp_too_big.ts";

/** What to do with a frame. */
export type Channel =
  /** Send it, the path must not fragment the datagram. */
  | "df"
  /** Send it, the path may fragment the datagram. */
  | "plain"
  /** Cut the packet inside with Ipv4Fragmenter and send the pieces as with "df". */
  | "fragment"
  /** Answer its sender that it is too big, as if its destination had: writeFragNeeded() or writePacketTooBig(). */
  | "too-big"
  /** The same, once the search has ended: its sender remembers for minutes what it is told. */
  | "too-big-later"
  /** It cannot go. */
  | "drop";

/** What is known of a path. */
export interface PathState {
  /** Largest inner IP packet. */
  readonly mtu: number;
  /** Whether a search goes on that will probably find a larger MTU. */
  readonly unsettled?: boolean;
  /** Whether large datagrams arrive when the kernel and the path fragment them. */
  readonly fragmentsArrive: boolean;
}

/** A frame in `[from, to)` of a buffer. */
export interface FrameSpan {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  /** Octets of the longest frame that will be sent; less than the whole for a super-packet that is cut first. */
  readonly longest: number;
  /** Whether it is one of several copies that go to all peers. */
  readonly broadcast: boolean;
}

/** Decides the way of a frame. */
export function chooseChannel(frame: FrameSpan, path: PathState): Channel {
  const { bytes, from, to, broadcast } = frame;
  const fits = frame.longest <= path.mtu + ETHERNET_HEADER;
  const tooBig = path.unsettled === true ? "too-big-later" : "too-big";
  const ipv4 = ipv4HeaderOf(bytes, from, to) > 0;
  if (ipv4 && (u16At(bytes, from + ETHERNET_HEADER + 6) & IPV4_DF) !== 0) {
    if (fits) return "df";
    return broadcast ? "drop" : tooBig;
  }
  if (path.fragmentsArrive) return "plain";
  if (ipv4) return fits ? "df" : "fragment";
  // IPv6 is never fragmented on its way, and its senders listen: better than a frame that nobody puts together.
  const answerable = !fits && frame.longest > IPV6_MIN_MTU + ETHERNET_HEADER && isIpv6(bytes, from, to);
  return answerable && !broadcast ? tooBig : "plain";
}
