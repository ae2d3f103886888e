/** Requests and answers of the control socket. Answers are what `--json` prints: scripts depend on them.
 * Fields that may be absent are null, so a shape never changes with its content. */

import type { ConnectionState } from "../mesh/snapshot.ts";
import type { ExposedReport, IpamReport, WaitRequest } from "./address_types.ts";
import type { DoctorReport } from "./doctor_types.ts";
import type { HistoryReport, LostReport } from "./history_types.ts";
import type { NamesReport } from "./name_types.ts";
import type { TrafficReport } from "./traffic_report.ts";
export type { OverlayTraffic } from "./traffic_report.ts";
export type { ConnectionState, LostReport, TrafficReport };

/** One connection, or one address that has none yet. */
export interface ConnectionReport {
  /** Peer name; null until the other side has introduced itself. */
  readonly peer: string | null;
  /** The peer's name for people. */
  readonly nickname: string | null;
  /** Remote address and port. */
  readonly address: string;
  /** Whether we dialled. */
  readonly outbound: boolean;
  /** Whether a person asked for it, rather than discovery finding it or the other side calling. */
  readonly wanted: boolean;
  /** Where it stands. */
  readonly state: ConnectionState;
  /** Why it is not established, or not better, and what to do about it; empty when all is well. */
  readonly info: string;
  /** How traffic is carried. */
  readonly overlay: "fastdp" | "sleeve" | null;
  /** Largest IP packet that containers can send over it, in bytes. */
  readonly mtu: number | null;
  /** MTU of the containers at the peer, in bytes; null while unknown. */
  readonly peerMtu: number | null;
  /** Whether traffic, or while none flows the connection itself, is encrypted. */
  readonly encrypted: boolean;
  /** Round trip of the overlay in milliseconds. */
  readonly rttMs: number | null;
  /** How long ago that was measured, in milliseconds. */
  readonly rttAgeMs: number | null;
  /** For how many milliseconds nothing has come from the peer over the overlay, although something should have; null: all
   * is well. */
  readonly silentMs: number | null;
  /** What was carried from and to the peer, also over earlier connections; null: nothing yet. */
  readonly traffic: TrafficReport | null;
  /** Milliseconds to the next attempt; null when none is planned. */
  readonly retryInMs: number | null;
}

/** A host that connected to this one in the last ten minutes and was not let in, for one reason. */
export interface RefusedReport {
  /** Its address; of one /64 network of IPv6 the one that came last. */
  readonly address: string;
  /** The peer name that it gave; null: it did not come that far. */
  readonly peer: string | null;
  /** The name for people that it gave. */
  readonly nickname: string | null;
  /** Why it was not let in; a sentence without full stop. */
  readonly reason: string;
  /** How often in the last ten minutes. */
  readonly count: number;
  /** Milliseconds since it came last. */
  readonly agoMs: number;
}

/** One target: a host that this one was told to connect to. */
export interface TargetReport {
  /** As given. */
  readonly target: string;
  /** Where it comes from: `--peers`, `MESHNET_PEERS`, `peers in FILE`; `remembered` of these in an earlier run; or `meshnet
   * connect`. */
  readonly from: string;
  /** `connected`; `satisfied` when its peer is connected otherwise; `itself` when it leads to this host; else as
   * for connections, or `waiting`. */
  readonly state: string;
  /** Why it is not connected and what to do about it; empty when it is. */
  readonly info: string;
  /** The address it led to last. */
  readonly address: string | null;
  /** The peer it led to. */
  readonly peer: string | null;
  /** Milliseconds to the next attempt; null when none is planned. */
  readonly retryInMs: number | null;
}

/** One connection of a peer, as that peer publishes it. */
export interface PeerLinkReport {
  /** Name of the peer at the other end. */
  readonly peer: string;
  /** Its name for people. */
  readonly nickname: string;
  /** Address and port of the other end. */
  readonly address: string;
  /** Whether the publishing peer dialled. */
  readonly outbound: boolean;
  /** Whether traffic flows: both ends say so, and this host sends accordingly. */
  readonly established: boolean;
}

/** One known peer, ourselves included. */
export interface PeerReport {
  /** `xx:xx:xx:xx:xx:xx`. */
  readonly name: string;
  /** Its name for people. */
  readonly nickname: string;
  /** Its process incarnation: an unsigned 64-bit integer in decimal. */
  readonly uid: string;
  /** Its overlay id, 0..4095; null when it has none. */
  readonly shortId: number | null;
  /** Version of its record, growing with every change. */
  readonly version: number;
  /** Its links. */
  readonly connections: readonly PeerLinkReport[];
  /** What came from it to this host directly, and was sent to it directly; null: nothing yet. */
  readonly traffic: TrafficReport | null;
}

/** What moves frames on this host. */
export interface DatapathReport {
  /** `ovs`: Open vSwitch in the kernel; `bridge`: a Linux bridge and flows in user space. */
  readonly kind: string;
  /** Why this host has no fast datapath; null: it has. */
  readonly noFastdp: string | null;
  /** MTU of the container network in bytes; null while unknown. */
  readonly mtu: number | null;
  /** Number of ports: containers, tunnels, the host's own and the one that leads to user space. */
  readonly ports: number;
  /** Number of flows, in the kernel or in user space. */
  readonly flows: number;
  /** Packets of other hosts that were dropped since the start because they are larger than containers here take. Their senders
   * were told. */
  readonly tooLarge: number;
  /** Packets that the kernel threw away since the start because this host did not take them in time. */
  readonly overruns: number;
}

/** One namespace that hangs on the network. */
export interface AttachmentReport {
  /** As given to `attach`; containers by their whole ids. */
  readonly target: string;
  /** What people call it now, where that differs: the name of a container. */
  readonly name: string | null;
  /** Interface in the container. */
  readonly interface: string;
  /** Interface of the host's end. */
  readonly hostInterface: string;
  /** MAC address of the interface in the container. */
  readonly mac: string | null;
  /** `address/prefix`, in the order of attaching. */
  readonly addresses: readonly string[];
  /** Its names, without the domain. */
  readonly names: readonly string[];
  /** Whether it works now; false when, say, the namespace has gone. */
  readonly attached: boolean;
  /** Why it does not work; null when it does, and for a container that is stopped. */
  readonly problem: string | null;
}

/** The container engine that is worked with. */
export interface EngineReport {
  /** Path of its socket. */
  readonly socket: string;
  /** Version of the engine; null while it cannot be reached. */
  readonly version: string | null;
  /** Version of its API that is spoken. */
  readonly api: string | null;
  /** Why it cannot be reached; empty when it can. */
  readonly info: string;
  /** Containers that are connected to networks which it has by meshnet. */
  readonly containers: number;
}

/** Something wrong, and what to do about it where the message does not say so; sentences without full stop. */
export interface Problem {
  /** What is wrong. */
  readonly message: string;
  /** What to do. */
  readonly hint: string | null;
}

/** Versions of the peer protocol that this daemon speaks. */
export interface ProtocolReport {
  /** The protocol family. */
  readonly name: "weave";
  /** Lowest version. */
  readonly min: number;
  /** Highest version. */
  readonly max: number;
}

/** What was done about this host's firewall. */
export interface FirewallStatus {
  /** `auto`: it is changed where it drops traffic of containers; `report`: it is only judged; `off`: neither. */
  readonly mode: "auto" | "report" | "off";
  /** Our rules in it, each `CHAIN: what it lets through`. */
  readonly rules: readonly string[];
  /** How often other programs took some of them out since the daemon began. */
  readonly undone: number;
  /** Milliseconds since that was last seen; null: never. */
  readonly undoneAgoMs: number | null;
}

/** Answer of `GET /status`. */
export interface StatusReport {
  /** Our peer name, `xx:xx:xx:xx:xx:xx`. */
  readonly name: string;
  /** Our name for people. */
  readonly nickname: string;
  /** The name that this host gave up because another host had it, as cloned machines have; null: none. */
  readonly formerName: string | null;
  /** Version of the daemon. */
  readonly version: string;
  /** This process incarnation: an unsigned 64-bit integer in decimal. */
  readonly uid: string;
  /** Process id of the daemon. */
  readonly pid: number;
  /** Milliseconds since the daemon began. */
  readonly uptimeMs: number;
  /** What it speaks with other peers. */
  readonly protocol: ProtocolReport;
  /** TCP port of the mesh. */
  readonly port: number;
  /** Whether a password is set. */
  readonly encryption: boolean;
  /** Whether addresses learnt from other peers are dialled. */
  readonly peerDiscovery: boolean;
  /** Networks between whose hosts traffic may stay in clear. */
  readonly trustedSubnets: readonly string[];
  /** What we were told to connect to, as given. */
  readonly targets: readonly string[];
  /** What became of each target; the answer of `status targets --json`. */
  readonly targetStates: readonly TargetReport[];
  /** Live connections, then addresses without one. */
  readonly connections: readonly ConnectionReport[];
  /** Peers that were connected within the last hour and are no longer, the latest first. */
  readonly lost: readonly LostReport[];
  /** Who was not let in during the last ten minutes, the latest first; 64 at most. */
  readonly refused: readonly RefusedReport[];
  /** Everybody in the mesh, ourselves included. */
  readonly peers: readonly PeerReport[];
  /** What moves frames on this host. */
  readonly datapath: DatapathReport;
  /** What was done about this host's firewall. */
  readonly firewall: FirewallStatus;
  /** The container engine; null where none is worked with. */
  readonly engine: EngineReport | null;
  /** What hangs on the network here. */
  readonly attachments: readonly AttachmentReport[];
  /** With which addresses this host itself takes part in the network. */
  readonly exposed: readonly ExposedReport[];
  /** Allocation of addresses; null where it is off. */
  readonly ipam: IpamReport | null;
  /** Names; null where they are off. */
  readonly dns: NamesReport | null;
  /** Empty when all is well. */
  readonly problems: readonly Problem[];
}

/** Answer of `GET /report`: everything a bug report needs, and no secrets. */
export interface FullReport {
  /** The same as `GET /status`. */
  readonly status: StatusReport;
  /** Every option with its value and where it came from. */
  readonly config: Readonly<Record<string, { readonly value: unknown; readonly from: string }>>;
  /** Facts about the host. */
  readonly host: Readonly<Record<string, unknown>>;
  /** Inner state of the mesh, the data plane and the daemon's own counters. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** What `meshnet report` prints where no daemon answers; no secrets either. */
export interface StoppedReport {
  /** Nobody could tell. */
  readonly status: null;
  /** Why no daemon answers; a sentence without full stop. */
  readonly why: string;
  /** Version of the command. */
  readonly version: string;
  /** Every option with the value that `up` would have, and where it comes from; null: `doctor` says why there is none. */
  readonly config: Readonly<Record<string, { readonly value: unknown; readonly from: string }>> | null;
  /** Facts about the host. */
  readonly host: Readonly<Record<string, unknown>>;
  /** Files of meshnet that are there. */
  readonly files: readonly StoppedFile[];
  /** What happened last, oldest first. */
  readonly history: readonly HistoryReport[];
  /** Every fault that can be seen without a daemon, with its fix. */
  readonly doctor: DoctorReport;
}

/** A file of meshnet. */
export interface StoppedFile {
  /** Where it is. */
  readonly path: string;
  /** Its octets; null: it is no plain file. */
  readonly size: number | null;
  /** Its rights, in octal digits. */
  readonly mode: string;
}

/** Body of `POST /connect`. */
export interface ConnectRequest {
  /** `HOST` or `HOST:PORT`. */
  readonly targets: readonly string[];
  /** Drop all other targets. */
  readonly replace: boolean;
}

/** Body of `POST /forget`. */
export interface ForgetRequest {
  /** Targets as given before. */
  readonly targets: readonly string[];
}

/** Answer of `POST /connect` and `POST /forget`: the targets that hold now. */
export interface TargetsAnswer {
  /** In the order of giving. */
  readonly targets: readonly string[];
}

/** Body of `POST /attach`. */
export interface AttachRequest extends WaitRequest {
  /** `netns:NAME`, `pid:N` or an absolute path. */
  readonly target: string;
  /** `address/prefix`, optionally with `ip:` in front; `net:default`, or `net:` and a subnet. None: for attach the same as
   * `net:default`, for detach all. */
  readonly addresses: readonly string[];
  /** Addresses that are given are attached although somebody else in the network uses them. */
  readonly force: boolean;
  /** For attach: names that it gets besides those that it has, with or without the domain. */
  readonly names?: readonly string[];
  /** For attach: how it shows that it answers, `tcp:PORT` or `http:PORT/PATH`, with `,every=2s` and `,after=3` if need be;
   * `none`: it does so no longer. */
  readonly health?: string;
  /** For attach: its resolv.conf is left alone. */
  readonly noDns?: boolean;
}

/** Body of `POST /detach`. */
export type DetachRequest = Pick<AttachRequest, "target" | "addresses">;

/** Answer of `POST /attach` and `POST /detach`. */
export interface AttachAnswer {
  /** As given. */
  readonly target: string;
  /** The addresses that this request added or removed, `address/prefix`. */
  readonly addresses: readonly string[];
  /** What is attached now; null when nothing is left. */
  readonly attachment: AttachmentReport | null;
  /** What a person should know though all went well, sentences without full stop. */
  readonly warnings: readonly string[];
}

/** Answer of `GET /daemon`: what `reset` must know before it stops the daemon. */
export interface DaemonAnswer {
  /** Process id, as the daemon sees it. */
  readonly pid: number;
  /** Its state folder. */
  readonly stateDir: string;
  /** The network namespace it works in, as the kernel names it (`net:[4026531840]`). */
  readonly netns: string;
}

/** Where clients of the engine are served. */
export interface DockerAnswer {
  /** As DOCKER_HOST names it: `unix:///run/meshnet/docker.sock`. Empty: nowhere. */
  readonly proxy: readonly string[];
}

/** First and only line of the answer of `POST /stop`; the connection closes when the process has ended. */
export interface StopAnswer {
  /** Process id of the daemon that ends. */
  readonly pid: number;
  /** Peers that traffic reached through the daemon itself, sleeve: until the next start it does not. */
  readonly peersThroughDaemon: number;
  /** Whether attached containers could ask this host for names: until the next start they get no answer. */
  readonly answeredNames: boolean;
}

/** Body of every answer with a status of 400 or more. */
export interface ErrorAnswer {
  /** A code of core/errors.ts. */
  readonly code: string;
  /** What failed. */
  readonly message: string;
  /** What to try. */
  readonly hint: string | null;
}
