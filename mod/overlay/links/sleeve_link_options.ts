/** What a user-space link is made of. */
import type { Endpoint } from "../../core/addr.ts";
import type { ConnUid } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";

/** What a sleeve link is made of. */
export interface SleeveLinkOptions {
  readonly link: LinkId;
  readonly connUid: ConnUid;
  /** Whether we dialled. Then the peer is at `remote`; otherwise its first heartbeat tells where. */
  readonly outbound: boolean;
  /** The remote end of the TCP connection. */
  readonly remote: Endpoint;
  /** Our UDP port. */
  readonly port: number;
  /** MTU of containers here; they take anything unless given. */
  readonly mtu?: number;
  /** Whether packets are sealed. */
  readonly sealed: boolean;
  /** Whether the underlay is IPv6. */
  readonly ipv6?: boolean;
  /** Whether both ends ask and answer: then loss is noticed within seconds while traffic goes out. */
  readonly beat?: boolean;
  /** FRAG_TEST_MS unless given; Infinity: once. */
  readonly fragTestMs?: number;
}
