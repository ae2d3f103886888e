/** What the main thread and the name server's own thread tell each other, and what others know of that thread. */
import type { LogEvent } from "../core/log_events.ts";
import type { Endpoint } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { LogFields } from "../core/ports.ts";
import type { DnsEntry } from "../wire/dns/dns_gossip.ts";
import type { DnsClient } from "./answers/clients.ts";
import type { Health } from "./thread/health.ts";
import type { ProbedTarget } from "./thread/health_check.ts";
import type { StubDomain } from "./upstream/upstream.ts";

/** In which order a name's targets are answered. */
export type DnsOrder = "balanced" | "random" | "nearest";

/** How the name server answers; it stays so as long as the server runs. */
export interface NameServiceConfig {
  /** Who we are. */
  readonly self: PeerName;
  /** The mesh's domain, a whole name. */
  readonly domain: string;
  /** For how many seconds clients may keep an answer; undefined: 0 if it is balanced, else 1. */
  readonly ttl: number | undefined;
  /** In which order targets are answered, unless a name says otherwise. */
  readonly order: DnsOrder;
  /** Most addresses for a client without EDNS over UDP; undefined: as many as fit. */
  readonly plainCap: number | undefined;
  /** Domains with servers of their own. */
  readonly stubs: readonly StubDomain[];
  /** The file that names the servers for everything else; it is followed. */
  readonly resolvConf: string;
  /** How long each of these servers has for its answer. */
  readonly patienceMs: number;
}

/** An address on which the name server is to listen. */
export interface DnsEndpoint extends Endpoint {
  /** Path of the network namespace in which that is; absent: in the daemon's own. */
  readonly netns?: string;
}

/** An address on which the name server is to listen, and what has become of that. */
export type DnsListener =
  | { readonly endpoint: DnsEndpoint; readonly state: "listening" }
  /** It is tried again until it works. `reason` is a sentence that says by whom the port is taken, if that is why. */
  | {
    readonly endpoint: DnsEndpoint;
    readonly state: "waiting";
    readonly reason: string;
    readonly hint: string | undefined;
  };

/** A container's namespace in which the engine has a name server of its own, whose questions we take. */
export interface InsidePlace {
  /** What stands for the source of its questions, an address of 127.0.0.0/8. */
  readonly source: number;
  /** Whether the container is in other networks of the engine, whose names come before those of the mesh. */
  readonly engineFirst: boolean;
}

/** What the name server has done since it began, and how it is. */
export interface DnsReport {
  readonly listeners: readonly DnsListener[];
  /** The host's servers that are asked for other names, in order. */
  readonly upstreams: readonly Endpoint[];
  /** These and those of single domains, and how they are. */
  readonly servers: readonly OtherServer[];
  /** Names that can be answered. */
  readonly names: number;
  readonly counters: DnsCounters;
}

/** A server that is asked for names of others. */
export interface OtherServer {
  readonly server: Endpoint;
  /** For which domain, a whole name; undefined: for all that have no server of their own. */
  readonly domain: string | undefined;
  readonly state: "answers" | "silent" | "unknown";
  /** Milliseconds since its last answer; undefined: it has given none. */
  readonly answeredAgoMs: number | undefined;
  /** Milliseconds since the first question was sent that has had no answer since; undefined: there is none. */
  readonly silentMs: number | undefined;
  /** Whether the last question failed at once. */
  readonly unreachable: boolean;
}

/** Counts. */
export interface DnsCounters {
  /** Messages that came. */
  readonly queries: number;
  /** Answers from this host's memory. */
  readonly answered: number;
  /** Of these: names that do not exist. */
  readonly unknown: number;
  /** Questions that other servers were asked. */
  readonly forwarded: number;
  /** Answers that an earlier answer of another server gave. */
  readonly cached: number;
  /** Questions that no other server answered. */
  readonly failed: number;
  /** Answers of other servers that were not what was asked. */
  readonly spoofed: number;
  /** Messages that made no sense. */
  readonly malformed: number;
  /** Queries of strangers beyond their rate. */
  readonly limited: number;
  /** Questions and connections that were refused because too many were under way. */
  readonly refused: number;
}

/** To the name server's thread. */
export type ToNameServer =
  | { readonly kind: "start"; readonly config: NameServiceConfig; readonly wakeupFd: number }
  | { readonly kind: "changes"; readonly changes: readonly EntryChange[] }
  | { readonly kind: "client"; readonly id: string; readonly client: DnsClient | undefined }
  /** Measured time to peers and back, of all that are known. */
  | { readonly kind: "distances"; readonly rttMs: ReadonlyMap<PeerName, number> }
  | { readonly kind: "listen"; readonly endpoints: readonly DnsEndpoint[] }
  /** Probes a target from now on; undefined: no longer. */
  | { readonly kind: "probe"; readonly id: string; readonly target: ProbedTarget | undefined }
  /** Takes the questions in the namespace at a path from now on; undefined: no longer. */
  | { readonly kind: "inside"; readonly netns: string; readonly place: InsidePlace | undefined }
  /** `examine`: asks all other servers first whether they answer. */
  | { readonly kind: "report"; readonly id: number; readonly examine: boolean }
  | { readonly kind: "stop" };

/** A change of an entry: what was, and what is. */
export type EntryChange = readonly [before: DnsEntry | undefined, after: DnsEntry | undefined];

/** From the name server's thread. */
export type FromNameServer =
  | { readonly kind: "listeners"; readonly listeners: readonly DnsListener[] }
  | { readonly kind: "report"; readonly id: number; readonly report: DnsReport }
  | {
    readonly kind: "log";
    readonly level: "debug" | "info" | "warn" | "error";
    readonly event: LogEvent;
    readonly fields: LogFields;
  }
  /** A target that is probed answers, or no longer does. */
  | { readonly kind: "health"; readonly id: string; readonly health: Health }
  /** Whether questions are taken in a namespace; `problem`: why they are not. */
  | { readonly kind: "inside"; readonly netns: string; readonly problem: string | undefined }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly reason: string };
