/** Requests and answers about names. What holds for api_types.ts holds here: scripts depend on it. */

/** Names, in `GET /status`. */
export interface NamesReport {
  /** The domain of the mesh, without a dot at its end. */
  readonly domain: string;
  /** The address at which containers ask; null where they cannot. */
  readonly address: string | null;
  /** Addresses at which others ask, and whether they can. */
  readonly listen: readonly { readonly address: string; readonly listening: boolean }[];
  /** In which order the addresses of a name are answered, unless the name says otherwise. */
  readonly order: "balanced" | "random" | "nearest";
  /** For how many seconds clients may keep an answer; null: 0 if it is balanced, else 1. */
  readonly ttl: number | null;
  /** Servers that are asked for all other names, `address:port`; null: the name server does not say. */
  readonly upstream: readonly string[] | null;
  /** Domains with servers of their own, each `DOMAIN=ADDRESS:PORT`. */
  readonly forward: readonly string[];
  /** All of these, and how they are; null: the name server does not say. */
  readonly servers: readonly OtherServerReport[] | null;
  /** What was done since the name server began; null: it does not say. */
  readonly counters: NameCounters | null;
  /** The targets that this host probes. */
  readonly probed: readonly ProbedReport[];
  /** Records that are answered: those of all hosts. */
  readonly entries: number;
  /** Those of this host. */
  readonly own: number;
}

/** A server of others that is asked for names. */
export interface OtherServerReport {
  /** `address:port`. */
  readonly address: string;
  /** The domain that it is asked for alone, without a dot at its end; null: it is asked for all other names. */
  readonly domain: string | null;
  /** `unknown`: it was not asked lately, or too few questions had no answer. */
  readonly state: "answers" | "silent" | "unknown";
  /** Milliseconds since its last answer; null: none has come since the name server began. */
  readonly answeredAgoMs: number | null;
  /** Milliseconds since the first question was sent that has had no answer since; null: there is none. */
  readonly silentMs: number | null;
  /** Whether the last such question failed at once: nothing listens there, or there is no way. */
  readonly unreachable: boolean;
}

/** What the name server has done since it began. */
export interface NameCounters {
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

/** How a target is that is probed (`attach --health`). */
export interface HealthReport {
  /** The check, as it was given. */
  readonly check: string;
  /** null: no probe has ended yet, or the target is away. */
  readonly healthy: boolean | null;
  /** For how many milliseconds it has been so, as far as this daemon has watched; null with `healthy`. */
  readonly forMs: number | null;
  /** Why it was found to have failed last, also when it answers again; null: it never was. */
  readonly reason: string | null;
}

/** A target that is probed. */
export interface ProbedReport extends HealthReport {
  /** As `attach` knows it. */
  readonly target: string;
  /** Why the container engine says that it does not answer; null: it does not say so. */
  readonly trouble: EngineTrouble | null;
}

/** Why a container engine says that a container does not answer: somebody paused it, its own check has not passed since it
 * was started, or that check fails. */
export type EngineTrouble = "paused" | "starting" | "unhealthy";

/** One record of a name; one item of `GET /dns`. */
export interface NameReport {
  /** The name without the domain. */
  readonly name: string;
  /** `A`, `AAAA`, `CNAME`, `SRV`; `ORDER` says in which order the addresses of the name are answered. */
  readonly type: string;
  /** An address, `cname:NAME`, `srv:PRIORITY:WEIGHT:PORT:NAME` or `order:ORDER`. */
  readonly record: string;
  /** Whose it is: a target on its host, a container, or `weave:extern` for what `dns add` made. */
  readonly container: string;
  /** Peer name of the host that gives it. */
  readonly peer: string;
  /** Its name for people; empty when it is not known. */
  readonly nickname: string;
  /** Whether it is answered now; false: others of the name are answered instead; null: the daemon is older and does not say. */
  readonly answered: boolean | null;
  /** False: its target does not answer; it is left out while others of the name do. */
  readonly healthy: boolean;
  /** More about that, where its target is probed by this host; else null. */
  readonly health: HealthReport | null;
  /** Why, where it is a container of this host's engine, and the engine says so; else null. */
  readonly trouble: EngineTrouble | null;
  /** The daemon of its host is away: for how many more milliseconds the record is kept, unless the host is found dead or
   * comes back; null: it is not away. */
  readonly keptMs: number | null;
}

/** Body of `POST /dns/add` and `POST /dns/remove`. */
export interface NameRequest {
  /** The name, with or without the domain. */
  readonly name: string;
  /** Records as `NameReport` has them, or attached targets, which stand for their addresses. For remove, none: all. */
  readonly records: readonly string[];
  /** For add: in which order the addresses of the name are answered from now on; null: as it is. */
  readonly order: string | null;
}

/** Answer of `POST /dns/add` and `POST /dns/remove`. */
export interface NameAnswer {
  /** The whole name, without a dot at its end. */
  readonly name: string;
  /** The records of the name that this host gives now. */
  readonly records: readonly string[];
}

/** Body of `POST /dns/lookup`. */
export interface LookupRequest {
  /** The name, with or without the domain. */
  readonly name: string;
}

/** Answer of `POST /dns/lookup`. */
export interface LookupAnswer {
  /** The whole name, without a dot at its end. */
  readonly name: string;
  /** What is answered for it, of all types. An alias comes first, and what it leads to after it. */
  readonly records: readonly NameReport[];
}
