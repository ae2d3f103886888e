/** Requests and answers of the doctor and his tools. What holds for api_types.ts holds here: scripts depend on it. */

/** One fault, for people: a sentence without full stop, and what to do. */
export interface FaultReport {
  /** What was looked at. */
  readonly check: string;
  /** What is wrong. */
  readonly message: string;
  /** What to do about it; null where the message says so. */
  readonly fix: string | null;
}

/** Answer of `GET /doctor`, and what `meshnet doctor --json` prints. */
export interface DoctorReport {
  /** Whether nothing is wrong. */
  readonly healthy: boolean;
  /** Whether the daemon was asked. Where it does not run, less can be looked at. */
  readonly daemon: boolean;
  /** Empty when all is well. */
  readonly faults: readonly FaultReport[];
  /** Everything that was looked at, in this order. */
  readonly checks: readonly string[];
}

/** Body of `POST /path`. */
export interface PathRequest {
  /** An address, a name of the mesh, or a host: its nickname or name. */
  readonly to: string;
  /** The target from which a probe is sent; null: none is sent from a target. */
  readonly from: string | null;
  /** Whether a probe is sent, and what flows carried is counted before and after it. */
  readonly probe: boolean;
}

/** Who is looked for, or looks. */
export interface PathEnd {
  /** The target, if it is known: `netns:web`. */
  readonly target: string | null;
  /** What people call it, where that differs. */
  readonly name: string | null;
  /** Its address. */
  readonly address: string | null;
  /** Its MAC address. */
  readonly mac: string | null;
  /** Why it does not work, as its host says. */
  readonly problem: string | null;
}

/** How one host sends to the next. */
export interface PathLink {
  /** How traffic is carried; null: no way works. */
  readonly overlay: "fastdp" | "sleeve" | null;
  /** What seals it: `AES-256-GCM`, `NaCl secretbox`; null: it is in clear. */
  readonly cipher: string | null;
  /** Largest packet of containers, in bytes. */
  readonly mtu: number | null;
  /** Round trip between the two hosts over it, in milliseconds, as last measured. */
  readonly rttMs: number | null;
  /** Address of the next host. */
  readonly address: string | null;
  /** Why it is not better; empty when all is well. */
  readonly info: string;
}

/** What the flows of one direction carried: packets before a probe and after it; null: it was not counted. */
export interface PathCount {
  readonly before: number | null;
  readonly after: number | null;
}

/** One host on the way. */
export interface PathHop {
  /** Peer name. */
  readonly peer: string;
  /** Its name for people. */
  readonly nickname: string;
  /** Why it says nothing about itself; null: it did. */
  readonly silent: string | null;
  /** Time until it answered over the mesh, in milliseconds; null for this host, and for those that do not answer. */
  readonly ms: number | null;
  /** How much its clock is ahead of this host's, in milliseconds. */
  readonly clockMs: number | null;
  /** How it sends on to the next one; null: it is the last one. */
  readonly link: PathLink | null;
  /** Where the destination is here, if it is here. */
  readonly port: string | null;
  /** What flows do with such frames, in words. */
  readonly out: readonly string[];
  /** Why frames go nowhere from here; null: they go on. */
  readonly dropped: string | null;
  /** Packets of flows to the destination. */
  readonly there: PathCount;
  /** Packets of flows of the way back. */
  readonly back: PathCount;
}

/** Answer of `POST /path`. */
export interface PathReport {
  /** Where the probe came from; null: there was none. */
  readonly from: PathEnd | null;
  /** Who was looked for; null for a host itself. */
  readonly to: PathEnd | null;
  /** Milliseconds until the destination answered; null: it did not, or nobody asked it. */
  readonly ms: number | null;
  /** The hosts on the way, this one first. */
  readonly hops: readonly PathHop[];
  /** Whether everything that was asked answered. */
  readonly reached: boolean;
  /** Where it ends and why, a sentence without full stop; empty when it is reached. */
  readonly verdict: string;
}

/** Body of `POST /check`. */
export interface CheckRequest {
  /** A host as for `--peers`: `HOST` or `HOST:PORT`; or the nickname or name of a peer. */
  readonly host: string;
}

/** How one thing is between two hosts. */
export type CheckState =
  /** It was seen to work. */
  | "good"
  /** It was seen not to work. */
  | "bad"
  /** It cannot be known from here, or not yet. */
  | "unknown"
  /** These two hosts do without it. */
  | "unused";

/** One line of `meshnet check`. */
export interface CheckLine {
  /** What was looked at: `TCP 6783`. */
  readonly what: string;
  readonly state: CheckState;
  /** What was found, a sentence without full stop. */
  readonly text: string;
  /** What to do about it; null: nothing. */
  readonly fix: {
    /** The host on which to do it. */
    readonly on: string;
    /** The command that mends it, unless it is one of the two below. */
    readonly command: string | null;
    /** The command of nftables that opens a way. */
    readonly nft: string | null;
    /** The same of iptables. */
    readonly iptables: string | null;
  } | null;
}

/** Answer of `POST /check`. */
export interface CheckReport {
  /** As asked for. */
  readonly host: string;
  /** The address that was looked at; null: the name has none. */
  readonly address: string | null;
  /** The peer's nickname; null: no meshnet or Weave Net was found there. */
  readonly peer: string | null;
  /** Whether no line is bad. */
  readonly good: boolean;
  readonly lines: readonly CheckLine[];
}
