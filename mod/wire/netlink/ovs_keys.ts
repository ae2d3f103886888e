/** What flows match and do, as Open vSwitch's kernel datapath says it (source: spec dataplane.md 3.2, 3.3). */
import type { Ip, Mac } from "../../core/addr.ts";
import type { Brand } from "../../core/brand.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import type { Vni } from "../packet/vxlan.ts";

/** Number of a port of the datapath, 0..65534; 0 is the datapath's own interface. */
export type PortNo = Brand<number, "PortNo">;
/** Identity of one of our flows: a positive integer below 2^48, chosen by the installer.
 * In the kernel it is the 16-byte unique flow id `UFID_PREFIX` + u64. Flows without it are foreign. */
export type Ufid = Brand<number, "Ufid">;

/** The port of the datapath's own interface. */
export const LOCAL_PORT = 0 as PortNo;

/** A tunnel's identity: what a flow matches, or with what an action encapsulates. Both addresses are of one family. */
export interface TunnelKey {
  /** The network identifier of the outer header. */
  readonly id: Vni;
  /** Outer source: the remote end for received frames, ours for an action. */
  readonly src: Ip;
  /** Outer destination. */
  readonly dst: Ip;
}

/** Whose frames pass user space's port of the datapath, and over which link: what a flow matches there, or hands over. */
export interface SleeveKey {
  /** The link they came by, or are to leave by. */
  readonly link: LinkId;
  /** From which peer, for which peer: as in a tunnel. */
  readonly id: Vni;
}

/** Tells the tag of a SleeveKey: a number that fits into a VLAN tag's TCI with bit 12 clear and is never 0; 0: it has
 * none. Frames carry it at user space's port, in front of a tag of their own. */
export type TagOf = (key: SleeveKey) => number;

/** The `sleeve` of flows that are read: what their tags stood for only the process knew that made them. */
export const FOREIGN_SLEEVE: SleeveKey = { link: 0 as LinkId, id: 0 as Vni };

/** What a frame is matched on. An absent field matches everything; a present one matches exactly. */
export interface FlowKey {
  /** Where the frame came in. */
  readonly inPort: PortNo;
  /** The outer header, if it came through a tunnel. */
  readonly tunnel?: TunnelKey | undefined;
  /** Whose it is, if it came from user space. */
  readonly sleeve?: SleeveKey | undefined;
  /** Sender of the frame. */
  readonly ethSrc?: Mac | undefined;
  /** Receiver of the frame. */
  readonly ethDst?: Mac | undefined;
  /** The exception: present, it matches frames with a VLAN tag (whichever), absent those without. The kernel has no
   * flow for both, so the flow for a miss must have the same value as the miss. */
  readonly tagged?: true | undefined;
}

/** One step of what is done to a frame; a list without steps drops it. */
export type FlowAction =
  /** Deliver a copy to a port that is no tunnel. */
  | { readonly kind: "output"; readonly port: PortNo }
  /** Encapsulate (TOS 0, TTL 64, no UDP checksum) and send through the vxlan port `port`; `df`: nobody may fragment it. */
  | { readonly kind: "tunnel"; readonly port: PortNo; readonly tunnel: TunnelKey; readonly df?: true }
  /** Hand it to user space at `port`, to be sent over a link. */
  | { readonly kind: "sleeve"; readonly port: PortNo; readonly sleeve: SleeveKey };

/** A frame that no flow matched. */
export interface Miss {
  /** Everything the kernel extracted that a FlowKey can say: both MACs, the tunnel for frames of a tunnel
   * port, and whether it is tagged. */
  readonly key: FlowKey & { readonly ethSrc: Mac; readonly ethDst: Mac };
  /** The whole Ethernet frame. A view into a receive buffer: valid until the step that takes it returns. */
  readonly frame: Uint8Array;
}

/** A flow as the kernel tells it. */
export interface FlowRecord {
  /** undefined: not one of ours. */
  readonly ufid: Ufid | undefined;
  /** Names the flow in a deletion, also one of another program. Opaque. */
  readonly handle: FlowHandle;
  /** undefined: it was not asked for, or the flow matches on something a FlowKey cannot say. */
  readonly key: FlowKey | undefined;
  /** undefined: they were not asked for, or some action is none of FlowAction. */
  readonly actions: readonly FlowAction[] | undefined;
  /** Frames that it matched. */
  readonly packets: number;
  /** Octets of those frames. */
  readonly bytes: number;
  /** Moment of last use on the kernel's monotonic clock in ms; undefined: never used. */
  readonly usedAt: number | undefined;
}

/** Attributes that name one flow in a request: a copy of what the kernel told. */
export type FlowHandle = Brand<Uint8Array, "FlowHandle">;

/** Kinds of ports; `other` is kept as a number. `sleeve` leads to user space, which carries frames to peers; `names` to
 * this host's name server. */
export type VportKind = "netdev" | "internal" | "vxlan" | "sleeve" | "names" | "other";

/** A port of the datapath. */
export interface Vport {
  /** Its number in the datapath. */
  readonly port: PortNo;
  /** What it leads to. */
  readonly kind: VportKind;
  /** Name of the interface. */
  readonly name: string;
  /** Index of the interface; undefined when the kernel does not tell it. */
  readonly ifindex: number | undefined;
  /** UDP port of a vxlan port, listened on and sent to. */
  readonly udpPort: number | undefined;
  /** Netlink port ids that receive its misses when dispatch is per port. */
  readonly upcallPids: readonly number[];
}
