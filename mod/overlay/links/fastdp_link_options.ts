/** What a link of the fast path is made of. */
import { type Ip, isIpv4 } from "../../core/addr.ts";
import type { ConnUid } from "../../core/names.ts";
import { vxlanOverhead } from "../../wire/mesh/heartbeat.ts";
import { ESP_OVERHEAD } from "../ports/esp_port.ts";
import type { EspSession } from "./esp_session.ts";

/** What a fastdp link is made of. */
export interface FastdpLinkOptions {
  readonly connUid: ConnUid;
  /** Our address on the connection. */
  readonly local: Ip;
  /** The peer's address on the connection, of the same family. */
  readonly remote: Ip;
  /** VXLAN port of this link, at both ends. */
  readonly udpPort: number;
  /** MTU of the datapath's interface. */
  readonly mtu: number;
  /** What seals the link; undefined: it is in clear. */
  readonly esp?: EspSession | undefined;
  /** Whether both ends promise heartbeats and tell each other what is missed. */
  readonly beat?: boolean;
  /** Whether both ends say that they are there when the other one misses their heartbeats. */
  readonly here?: boolean;
}

/** Octets of a full-size packet to an address of the peer. */
export function wireSize({ esp, mtu }: FastdpLinkOptions, remote: Ip): number {
  return mtu + vxlanOverhead({ ipv6: !isIpv4(remote) }) + (esp === undefined ? 0 : ESP_OVERHEAD);
}

/** The address that has the kernel choose from which of ours packets to this one leave. */
export function chosenByKernel(remote: Ip): Ip {
  return (isIpv4(remote) ? "0.0.0.0" : "::") as Ip;
}
