/** What the data plane's core is told and what it asks for: the seam to its shell. */
import type { LogEvent } from "../../core/log_events.ts";
import type { Ip, Mac } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type {
  LinkId,
  LinkStatus,
  OverlayEvent,
  OverlayName,
  OverlayRequest,
  TopologyView,
} from "../../core/overlay_port.ts";
import type { LogFields } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import type { XfrmEffect, XfrmNews } from "./esp_port.ts";
import type { SleeveEffect, SleeveNews } from "./sleeve_port.ts";
import type { SwitchedEvent, WhereaboutsEffect } from "./switched_types.ts";
import type {
  FlowAction,
  FlowHandle,
  FlowKey,
  FlowRecord,
  Miss,
  PortNo,
  Ufid,
  Vport,
} from "../../wire/netlink/ovs_keys.ts";

/** Routes over one topology view; peers are named by their index in the view. */
export interface RouteLookup {
  /** Next hop on the way to a peer: its index, `view.self` for ourselves, -1 when it cannot be reached. */
  nextHop(destination: number): number;
  /** Our onward hops for broadcasts that originated at a peer (spec dataplane.md 6.4), ascending. */
  broadcastHops(source: number): readonly number[];
}

/** Makes the routes of a view; the composition root builds it from the mesh's own functions. */
export type RouteFactory = (view: TopologyView) => RouteLookup;

/** What moves frames on this host: the kernel's Open vSwitch, programs in the kernel, or a Linux bridge and user space. */
export type DatapathKind = "ovs" | "ebpf" | "bridge";

/** What the data plane is built with. */
export interface DataplaneOptions {
  readonly kind: DatapathKind;
  /** Our overlays, in the order in which they are advertised. */
  readonly overlays: readonly OverlayName[];
  /** Why fastdp is not among them, for people: a sentence without full stop; undefined when it is. */
  readonly noFastdp: string | undefined;
  /** What our overlays understand beyond the protocol. */
  readonly extensions: readonly string[];
  /** Name of the datapath, for reports. */
  readonly name: string;
  /** MTU of the datapath's own interface: heartbeats have this size plus 14 octets. */
  readonly mtu: number;
  /** Our main VXLAN port: mesh port + 1. */
  readonly vxlanPort: number;
  /** First flow id to use; ids of adopted flows are stepped over. */
  readonly firstUfid: number;
  /** Gives numbers below PROBE_NUMBERS that nobody can guess: by them a loop is found. */
  readonly drawProbe: () => number;
  readonly routes: RouteFactory;
  /** Whether an earlier run let others have in clear what this one encrypts: tunnels' flows are not taken over. */
  readonly distrusts?: boolean;
  /** Whether the switch's own leg takes part at the start. */
  readonly legOpen?: boolean;
  /** Bounds; the defaults are those of the README. */
  readonly limits?: Partial<DataplaneLimits>;
}

/** Bounds of everything that packets can make grow. */
export interface DataplaneLimits {
  /** Flows in the kernel; beyond it packets are executed without installing. */
  readonly flows: number;
  /** Flows of one local port, or of one originating peer. */
  readonly flowsPerSource: number;
  /** MAC addresses known. */
  readonly macs: number;
  /** MAC addresses at one local port. */
  readonly macsPerPort: number;
  /** MAC addresses behind one peer. */
  readonly macsPerPeer: number;
}

/** What has become of this host's addresses, as far as it was told. */
export interface AddressChange {
  readonly gone: readonly Ip[];
  /** Those that came, or are there still. */
  readonly come: readonly Ip[];
}

/** Somebody uses an address. */
export interface AddressUse {
  /** The address. */
  readonly ip: Ip;
  /** Who says so. */
  readonly mac: Mac;
  /** Whether it is on this host. */
  readonly here: boolean;
  /** The other host that it is on, if that is known. */
  readonly peer: PeerName | undefined;
}

/** What a flow has carried since it was made. */
export interface FlowCarried {
  readonly ufid: Ufid;
  readonly packets: number;
  readonly bytes: number;
}

/** Frames of containers, large ones as the kernel hands them over, and their octets. */
export interface CarriedCount {
  readonly packets: number;
  readonly bytes: number;
}

/** What was carried from and to a neighbour, over each overlay, since the data plane began. */
export interface TrafficView {
  readonly peer: PeerName;
  readonly ways: Readonly<
    Record<OverlayName, { readonly received: CarriedCount; readonly sent: CarriedCount }>
  >;
}

/** What happened. `started` comes first and once; then anything in any order. */
export type DataplaneEvent =
  /** The datapath is open: every port it has (vxlan ones too) and every flow already in it, key, actions and counts. */
  | { readonly kind: "started"; readonly ports: readonly Vport[]; readonly flows: readonly FlowRecord[] }
  /** Somebody wants to know who uses an IPv4 address. `mac` asks: nobody else may have it, and it is the same each time. */
  | { readonly kind: "who-has"; readonly ip: Ip; readonly mac: Mac }
  /** The mesh wants something. */
  | { readonly kind: "request"; readonly request: OverlayRequest }
  /** A port was added to the datapath by whomever; telling one again is harmless. */
  | { readonly kind: "port-appeared"; readonly port: Vport }
  /** The switch's own leg takes part from now on, or no longer. */
  | { readonly kind: "leg"; readonly open: boolean }
  /** The datapath itself has stopped a container behind a port: what that container's loop showed is not true. */
  | { readonly kind: "loop-cut"; readonly port: PortNo }
  /** A port left the datapath. */
  | { readonly kind: "port-removed"; readonly port: PortNo }
  /** The vxlan port asked for by `ensure-vxlan` is there (already, or now). */
  | { readonly kind: "vxlan-ready"; readonly udpPort: number; readonly port: PortNo }
  /** It could not be made; the core asks again later. `reason` is a sentence without full stop. */
  | { readonly kind: "vxlan-failed"; readonly udpPort: number; readonly reason: string }
  /** The kernel had no flow for a frame. The frame is only looked at during the step; effects of this step may
   * carry the very same view, so perform them before the buffer is used again. */
  | { readonly kind: "miss"; readonly miss: Miss }
  /** The kernel has carried a frame without a flow. */
  | SwitchedEvent
  /** Answer to `dump-flows`: every flow in the kernel; keys and actions may be absent for flows that have a ufid. */
  | { readonly kind: "flows"; readonly flows: readonly FlowRecord[] }
  /** The kernel refused an installation: the flow is not there. */
  | { readonly kind: "install-failed"; readonly ufid: Ufid; readonly reason: string }
  /** User space has found something out. */
  | SleeveNews
  /** The kernel's IPsec has answered. */
  | XfrmNews
  /** This host has other addresses than before. */
  | { readonly kind: "addresses-changed" } & AddressChange
  /** More has come than could be read at once. Everything that came until `since` has been read, and not all that came
   * later; undefined: all has been read. */
  | { readonly kind: "backlog"; readonly since: Millis | undefined }
  /** What flows had carried when they were deleted, or were made to do something else. */
  | { readonly kind: "carried"; readonly flows: readonly FlowCarried[] }
  /** Somebody is about to ask what flows have carried: look at them, unless that was done just now. */
  | { readonly kind: "count-flows" }
  /** `nextWake()` has come. */
  | { readonly kind: "wake" };

/** What to do, in order. Nothing is answered unless said so. */
export type DataplaneEffect =
  /** Tell the mesh. */
  | { readonly kind: "overlay"; readonly event: OverlayEvent }
  /** Somebody uses an address that was asked for. */
  | { readonly kind: "address-used" } & AddressUse
  /** Have a vxlan port for this UDP port, named `vxlan-<udpPort>`; answer `vxlan-ready` or `vxlan-failed`. */
  | { readonly kind: "ensure-vxlan"; readonly udpPort: number }
  /** Install a flow, or replace the actions of the one with this ufid; no actions means drop.
   * With `frame`, also execute the actions on it, in the same send. */
  | {
    readonly kind: "install";
    readonly ufid: Ufid;
    /** The kernel has a flow with this ufid and key: give it these actions. */
    readonly replace: boolean;
    readonly key: FlowKey;
    readonly actions: readonly FlowAction[];
    readonly frame: Uint8Array | undefined;
  }
  /** Run actions on a frame once; `inPort` is where it came from. The frame is valid until the next event. */
  | {
    readonly kind: "execute";
    readonly frame: Uint8Array;
    readonly inPort: PortNo;
    readonly actions: readonly FlowAction[];
  }
  /** Frames for this address arrive from where it was thought to be: a switch that has learnt that by itself forgets it. */
  | { readonly kind: "unlearn"; readonly mac: Mac }
  /** Delete one of our flows; that it is gone already is no error. */
  | { readonly kind: "delete"; readonly ufid: Ufid }
  /** Delete a flow that somebody else made. */
  | { readonly kind: "delete-foreign"; readonly handle: FlowHandle }
  /** List all flows of the datapath and answer with `flows`. */
  | { readonly kind: "dump-flows" }
  /** What the kernel is to know to carry frames without a flow; only where the kind of switch does so. */
  | WhereaboutsEffect
  /** Have user space do something. */
  | SleeveEffect
  /** Have the kernel's IPsec do something. */
  | XfrmEffect
  | {
    readonly kind: "log";
    readonly level: "debug" | "info" | "warn" | "error";
    readonly event: LogEvent;
    readonly fields: LogFields;
  };

/** Why a frame went nowhere. */
export const DROP_REASONS = [
  /** A tunnel frame whose outer source is the address of no peer that may send in clear. */
  "stranger",
  /** A tunnel frame from or to a short id that nobody owns. */
  "unknown-peer",
  /** A tunnel frame that names us as its origin. */
  "own-source",
  /** A source MAC that is a group address, zero, or the name server's. */
  "bad-source",
  /** A MAC seen at a local port although a peer showed it within the last two seconds. */
  "loop-guard",
  /** Its place has sent more frames that need a decision, or that go to everybody, than a second allows. */
  "flood",
  /** It came in on a port that is stopped, because the port is part of a loop. */
  "stopped",
  /** Addressed to the bridge group 01:80:c2:00:00:00 and nobody else is here. */
  "bridge-group",
  /** The destination is behind the port the frame came from. */
  "hairpin",
  /** No way to the destination peer. */
  "no-route",
  /** A flood that nobody would receive. */
  "nobody",
  /** To or from a name server, on a way that it does not take: they serve containers of their own host. */
  "name-server",
  /** It came in on a port that is not known. */
  "unknown-port",
  /** A heartbeat that belongs to no link, or is damaged. */
  "bad-heartbeat",
  /** Shorter than an Ethernet header. */
  "runt",
] as const;
/** Why a frame went nowhere. */
export type DropReason = typeof DROP_REASONS[number];

/** Counts since start. */
export interface DataplaneCounters {
  readonly misses: number;
  readonly installed: number;
  readonly replaced: number;
  readonly deleted: number;
  readonly executed: number;
  /** Frames for which a flow would have been right but no more flows were allowed. */
  readonly flowLimit: number;
  /** MAC addresses not learnt, or given up for newer ones of the same place, because of a bound. */
  readonly macLimit: number;
  readonly macMoves: number;
  readonly heartbeatsSent: number;
  readonly heartbeatsReceived: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
}

/** One port of the datapath, for people. */
export interface PortReport {
  readonly port: number;
  readonly name: string;
  readonly kind: Vport["kind"];
  readonly udpPort: number | undefined;
}

/** How old what is known of a link is, as of now. */
export interface LinkAges {
  /** How long ago the round trip was measured; undefined: never. */
  readonly rttAgeMs: number | undefined;
  /** For how long nothing has come over the overlay in use, although something should have; undefined: something has. */
  readonly silentMs: number | undefined;
}

/** One overlay of a link, for people. */
export interface OverlayReport {
  readonly overlay: OverlayName;
  /** Whether heartbeats go there and come back. */
  readonly works: boolean;
  /** Why not, as a sentence without full stop. */
  readonly why: string | undefined;
}

/** One link of the data plane, for people. */
export interface LinkReport extends LinkAges {
  readonly link: LinkId;
  readonly peer: PeerName;
  readonly remote: Ip;
  readonly status: LinkStatus;
  /** MTU of the peer's containers; undefined: not known. */
  readonly peerMtu: number | undefined;
  /** How each overlay of the link is by itself. */
  readonly overlays: readonly OverlayReport[];
}

/** What a host announces among its extensions about the MTU of its containers. */
const MTU_EXTENSION = "mtu=";

/** The announcement of an MTU. */
export function announceMtu(mtu: number): string {
  return `${MTU_EXTENSION}${mtu}`;
}

/** The MTU that a peer has announced. */
export function announcedMtu(extensions: readonly string[]): number | undefined {
  const text = extensions.find((one) => one.startsWith(MTU_EXTENSION))?.slice(MTU_EXTENSION.length) ?? "";
  return /^[1-9][0-9]{1,4}$/.test(text) ? Number(text) : undefined;
}

/** Everything to know about the data plane. */
export interface DataplaneReport {
  readonly datapath: {
    readonly kind: DatapathKind;
    readonly name: string;
    readonly mtu: number;
    readonly ports: readonly PortReport[];
    /** Interfaces that are stopped because they are part of a loop. */
    readonly stopped: readonly string[];
    readonly flows: number;
    /** Whether tunnels of the kernel are used. */
    readonly tunnels: boolean;
    /** Why not, as a sentence without full stop. */
    readonly noFastdp: string | undefined;
    /** Of those, flows found at start about which nothing is known yet. */
    readonly adopted: number;
  };
  readonly counters: DataplaneCounters;
  readonly macs: { readonly local: number; readonly remote: number };
  readonly links: readonly LinkReport[];
  /** What neighbours have sent and were sent. */
  readonly traffic: readonly TrafficView[];
  /** Peers whose path is kept although their link is gone, because they may be restarting. */
  readonly held: readonly {
    readonly peer: PeerName | undefined;
    readonly shortId: number;
    readonly forMs: number;
  }[];
}
