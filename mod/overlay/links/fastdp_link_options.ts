/** What a link of the fast path is made of. */
import type { Ip } from "../../core/addr.ts";
import type { ConnUid } from "../../core/names.ts";
import { VXLAN_OVERHEAD } from "../../wire/mesh/heartbeat.ts";
import type { EspSession } from "./esp_session.ts";

/** What ESP adds at most: header 8, initialisation vector 8, padding 3, trailer 2, check value 16. */
const ESP_OVERHEAD = 37;

/** What a fastdp link is made of. */
export interface FastdpLinkOptions {
  readonly connUid: ConnUid;
  /** Our IPv4 address on the connection. */
  readonly local: Ip;
  /** The peer's IPv4 address on the connection. */
  readonly remote: Ip;
  /** VXLAN port of this link, at both ends. */
  readonly udpPort: number;
  /** MTU of the datapath's interface. */
  readonly mtu: number;
  /** What seals the link; undefined: it is in clear. */
  readonly esp?: EspSession | undefined;
  /** Whether both ends promise heartbeats and tell each other what is missed. */
  readonly beat?: boolean;
}

/** Octets of a full-size packet between the hosts. */
export function wireSize({ esp, mtu }: FastdpLinkOptions): number {
  return mtu + VXLAN_OVERHEAD + (esp === undefined ? 0 : ESP_OVERHEAD);
}
