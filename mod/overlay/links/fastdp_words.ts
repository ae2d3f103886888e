/** Why the fast path carries no traffic on a link, in words. */
import type { Ip } from "../../core/addr.ts";

/** What has become wrong with a link, or right again. */
export interface Ailments {
  /** The peer's heartbeats do not arrive. */
  readonly silent?: boolean;
  /** Ours do not arrive. */
  readonly deaf?: boolean;
  /** This host lacks the address that the connection has here. */
  readonly homeless?: boolean;
  /** It is so because one end has another address now. */
  readonly moving?: true;
}

/** What is known of a link that has a tunnel and its keys, and does not work. */
export interface FastdpTrouble {
  /** What the heartbeats travel in: `UDP 6784`, or IPsec. */
  readonly over: string;
  /** Octets of a full-size packet on the wire, and the MTU that makes them so many. */
  readonly size: number;
  readonly mtu: number;
  readonly remote: Ip;
  /** Whether it has worked. */
  readonly established: boolean;
  /** Whether the peer's heartbeats have ceased. */
  readonly silent: boolean;
  /** Whether only those of full size have. */
  readonly fullLost: boolean;
  /** For how long none came, in milliseconds. */
  readonly patience: number;
  /** Whether it is too early to complain. */
  readonly testing: boolean;
  /** Whether the peer says that ours arrive. */
  readonly acknowledged: boolean;
  /** Whether any of the peer's arrived. */
  readonly heard: boolean;
}

/** The same of a sealed link whose address this host has lost. */
export function whyHomeless(local: Ip): string {
  return `this host no longer has the address ${local}, for which the tunnel is sealed: a new connection is being made`;
}

/** What nearly every network carries. */
const USUAL = 1_500;

/** How much must get through, and what makes it little enough for a usual network. */
function sizeIn({ mtu, size }: FastdpTrouble): string {
  if (size <= USUAL) return `${size} bytes`;
  return `${size} bytes (${USUAL} are enough if all hosts start with --mtu ${mtu - size + USUAL})`;
}

/** A sentence without full stop. */
export function whyNotFastdp(trouble: FastdpTrouble): string {
  const { over, remote, established, silent } = trouble;
  const size = sizeIn(trouble);
  const narrow = `that direction carries less than ${size}`;
  if (established && !silent) {
    return `the peer gets no VXLAN heartbeat from here any more: a firewall blocks ${over} towards ${remote}, or ${narrow}`;
  }
  if (established && trouble.fullLost) {
    return `no full-size VXLAN heartbeat from the peer any more, though small ones arrived: ` +
      `the path carries less than ${size}`;
  }
  if (established) {
    return `no VXLAN heartbeat from the peer for ${trouble.patience / 1000} s on ${over}: ` +
      `a firewall blocks it, or the path carries less than ${size}`;
  }
  if (trouble.testing) return `testing the path with full-size VXLAN heartbeats on ${over}`;
  if (trouble.acknowledged) {
    return `no VXLAN heartbeat arrives from the peer, although it gets ours: ` +
      `let this host's firewall accept ${over} from ${remote}`;
  }
  return trouble.heard
    ? `the peer's VXLAN heartbeats arrive but it does not answer ours: a firewall blocks ${over} ` +
      `towards ${remote}, or ${narrow}`
    : `no answer to full-size VXLAN heartbeats on ${over}: a firewall blocks it, ` +
      `or the path carries less than ${size}`;
}
