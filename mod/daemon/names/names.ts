/** Names on this host: what the daemon knows of all, and what it gives itself. */
import { type Attachment, parseAttachTarget } from "../../attach/mod.ts";
import type { EngineTrouble, NameReport } from "../../control/name_types.ts";
import { type Ip, parseCidr } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { PeerName } from "../../core/names.ts";
import type { Logger } from "../../core/ports.ts";
import { closest } from "../../core/suggest.ts";
import { NAMES_EXTENSION } from "../../dns/records/channel.ts";
import type { DirectoryShell } from "../../dns/records/directory_shell.ts";
import type { EntryData } from "../../dns/records/directory_types.ts";
import { isBelow, qualified } from "../../dns/records/domain.ts";
import type { OwnNames } from "../../dns/records/own_names_shell.ts";
import {
  isOfHosts,
  nameBelow,
  readRecord,
  shortName,
  typeName,
  writeRecord,
} from "../../dns/records/spelling.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import { RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import type { Config } from "../config/config.ts";
import type { DnsConfig } from "../config/config_dns.ts";
import type { NameService } from "../threads/names_client.ts";
import type { OtherDomains } from "./other_domains.ts";
import type { TargetChecks } from "./target_checks.ts";
import type { ResolvFiles } from "./resolv_files.ts";

/** Names, where they are on. */
export interface Names {
  /** The domain of the mesh, a whole name. */
  readonly domain: string;
  /** All names of the mesh. */
  readonly directory: DirectoryShell;
  /** Those that this host gives. */
  readonly own: OwnNames;
  /** Records that are answered: those of all hosts, and those of this one. */
  readonly counts: { readonly all: number; readonly own: number };
  /** Hosts with another domain. */
  readonly otherDomains: Pick<OtherDomains, "problems">;
  /** How they are answered. */
  readonly config: DnsConfig;
  /** The thread that answers. */
  readonly service: Pick<
    NameService,
    "expectClient" | "isNeeded" | "listeners" | "report" | "serveInside" | "settled"
  >;
  /** Where containers ask; undefined where they cannot, why, and what to do. */
  readonly forContainers: () => {
    readonly address: Ip | undefined;
    readonly problem: string | undefined;
    readonly hint: string | undefined;
  };
  /** The files that tell namespaces whom to ask; undefined where they cannot ask us. */
  readonly files: ResolvFiles | undefined;
  /** How targets are probed. */
  readonly checks: TargetChecks;
  /** A target is attached, with these addresses. `sources`: what else its questions come from. */
  attached(target: string, addresses: readonly string[], sources?: readonly number[]): void;
  /** Why the engine says that a target does not answer; undefined: it does. It counts beside our own check. */
  engineSays(target: string, trouble: EngineTrouble | undefined): void;
  /** What the engine said so of a container, as entries call it. */
  troubleOf(container: string): EngineTrouble | undefined;
  /** A target is attached no more. The result is what a person should know. */
  forgotten(target: string): string | undefined;
}

/** Most names of a target. */
const MAX_NAMES = 100;

/** Extensions of the protocol that this host announces for names. */
export function extensionsOfNames({ dns, without }: Pick<Config, "dns" | "without">): readonly string[] {
  return dns === undefined || without.includes(NAMES_EXTENSION) ? [] : [NAMES_EXTENSION];
}

/** What names say where they are off. */
export function namesOff(action: string): MeshnetError {
  return new MeshnetError("dns/off", `${action}: this host has no names, it runs with --no-dns`, {
    hint: "Start it without --no-dns, and without no-dns in its configuration file",
  });
}

/** The whole name that a person means. Throws "usage/bad-name". */
export function hostnameOf(text: string, domain: string, action: string): string {
  const read = nameBelow(text, domain);
  if (read.ok) return read.value;
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  throw new MeshnetError("usage/bad-name", `Cannot ${action} ${JSON.stringify(shown)}: ${read.reason}`, {
    hint: `Give a name such as web, web.team or web.${domain.slice(0, -1)}`,
  });
}

/** The whole name that a person gives something. Throws "usage/bad-name", also where it can be a host's alone. */
export function givenName(text: string, domain: string, action: string): string {
  const hostname = hostnameOf(text, domain, action);
  if (!isOfHosts(hostname, domain)) return hostname;
  const [name, group] = [hostname, `host.${domain}`].map((each) => each.slice(0, -1));
  throw new MeshnetError("usage/bad-name", `Cannot ${action} ${name}: names below ${group} belong to hosts`, {
    hint: "Take another name; a host has its own as soon as `meshnet expose` runs there",
  });
}

/** The names that a target has after it is given more. Throws, and then nothing has changed. */
export function namesAfter(
  names: Names | undefined,
  holder: string,
  more: readonly string[],
  whom = holder,
): readonly string[] | undefined {
  if (more.length === 0) return undefined;
  if (names === undefined) throw namesOff(`Cannot name ${whom}`);
  const { domain, own } = names;
  const hostnames = more.map((text) => givenName(text, domain, "use the name"));
  const has = own.namesOf(holder).map((name) => hostnameOf(name, domain, "use the name"));
  const all = [...has];
  for (const name of hostnames) if (!all.some((other) => isSame(name, other))) all.push(name);
  if (all.length <= MAX_NAMES) return all;
  throw new MeshnetError("dns/too-many", `Cannot name ${whom}: it would have ${all.length} names`, {
    hint: `A target has at most ${MAX_NAMES}; take some away with \`meshnet dns remove\``,
  });
}

/** What a request needs to take back what it has changed about a target. */
interface Restoring {
  readonly names: Names | undefined;
  readonly logger: Logger;
}

/** After a request that failed: gives a target the names that it had before. Its own failure is what the caller must
 * read, so this one is logged. */
export function restoreNames({ logger, names }: Restoring, holder: string, before: readonly string[]): void {
  try {
    names?.own.setNames(holder, before.map((name) => qualified(name, names.domain)));
  } catch (thrown) {
    logger.error("names not remembered", { target: holder, reason: messageOf(thrown) });
  }
}

/** The same for the health check that it had. */
export function restoreCheck({ logger, names }: Restoring, holder: string, before: string | undefined): void {
  try {
    names?.checks.set(holder, before);
  } catch (thrown) {
    logger.error("health check not remembered", { target: holder, reason: messageOf(thrown) });
  }
}

/** What a person who gives a name should know while containers of this host get no answers. */
export function unansweredNames({ forContainers }: Pick<Names, "forContainers">): string | undefined {
  const { hint, problem } = forContainers();
  if (problem === undefined) return undefined;
  return `Containers of this host find no names yet: ${problem}${hint === undefined ? "" : `. ${hint}`}`;
}

/** Whether two whole names are the same to those who look them up. */
export function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** A record or a target, as a person means it. Throws "usage/bad-record" for what is neither. */
export function readRecordOrTarget(
  text: string,
  domain: string,
): { readonly data: EntryData } | { readonly target: string } {
  const read = readRecord(text, domain);
  if (read.ok) return { data: read.value };
  if (/^(?:netns:|pid:|\/)/.test(text)) return { target: parseAttachTarget(text).text };
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  throw new MeshnetError("usage/bad-record", `Cannot use record ${JSON.stringify(shown)}: ${read.reason}`, {
    hint:
      "Give an address, an attached target such as netns:web, cname:NAME or srv:PRIORITY:WEIGHT:PORT:NAME",
  });
}

/** The addresses of an attachment. */
export function addressesOf({ addresses }: Pick<Attachment, "addresses">): readonly Ip[] {
  return addresses.flatMap((text) => parseCidr(text)?.ip ?? []);
}

/** Whether an entry is answered, or would be if its target answered. */
export function isAlive({ tombstone, unhealthy }: DnsEntry): boolean {
  return tombstone === 0 || unhealthy;
}

/** An entry for people. */
export function nameReport(
  entry: DnsEntry,
  { domain, nicknameOf, isAnswered, stateOf }: {
    readonly domain: string;
    readonly nicknameOf: (peer: PeerName) => string;
    readonly isAnswered: (entry: DnsEntry) => boolean;
    /** How the target of an entry is, and whether its host is away, as far as this host knows. */
    readonly stateOf: (entry: DnsEntry) => Pick<NameReport, "health" | "keptMs" | "trouble">;
  },
): NameReport {
  return {
    name: shortName(entry.hostname, domain),
    type: typeName(entry.type),
    record: writeRecord(entry),
    container: entry.container,
    peer: entry.origin,
    nickname: nicknameOf(entry.origin),
    answered: isAnswered(entry),
    healthy: !entry.unhealthy,
    ...stateOf(entry),
  };
}

/** The name that somebody may have meant, of those that are answered and can be asked for. */
export function suggestion(hostname: string, { directory, domain }: Names): string | undefined {
  const known = new Set<string>();
  for (const entry of directory.entries()) {
    if (!isAlive(entry) || entry.type === RECORD_TYPE.ORDER || !isBelow(entry.hostname, domain)) continue;
    if (known.size < 10_000) known.add(shortName(entry.hostname, domain).toLowerCase());
  }
  return closest(shortName(hostname, domain).toLowerCase(), [...known]);
}
