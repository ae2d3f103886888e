/** What the control socket can have done with names. */
import type { Attachments } from "../../attach/mod.ts";
import type {
  LookupAnswer,
  NameAnswer,
  NameReport,
  NameRequest,
  OtherServerReport,
} from "../../control/name_types.ts";
import { silentServers } from "../../doctor/name_servers.ts";
import type { ControlApi } from "../../control/routes.ts";
import type { Problem } from "../../control/api_types.ts";
import type { NamesSources } from "../../control/status.ts";
import { formatEndpoint } from "../../core/addr.ts";
import { ENGINE_PREFIX } from "../../core/holders.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { PeerName } from "../../core/names.ts";
import { containerOf } from "../../dns/records/own_names_shell.ts";
import type { OwnRecord } from "../../dns/records/directory_shell.ts";
import type { EntryData } from "../../dns/records/directory_types.ts";
import { qualified } from "../../dns/records/domain.ts";
import type { DnsListener, DnsReport, OtherServer } from "../../dns/service_types.ts";
import { answersFor } from "../../dns/records/look_up.ts";
import { bestOf } from "../../dns/records/name_index.ts";
import { DNS_ORDERS, recordOfOrder, writeRecord } from "../../dns/records/spelling.ts";
import { compareOnWire, type DnsEntry } from "../../wire/dns/dns_gossip.ts";
import { RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import {
  givenName,
  hostnameOf,
  isAlive,
  isSame,
  nameReport,
  type Names,
  namesAfter,
  namesOff,
  readRecordOrTarget,
  suggestion,
} from "./names.ts";

/** What it is made of. */
export interface NamesApiParts {
  /** undefined: there are none. */
  readonly names: Names | undefined;
  readonly attachments: Pick<Attachments, "holderOf" | "list">;
  /** Who is in the mesh, with their nicknames; this host first. */
  readonly peers: () => readonly { readonly name: PeerName; readonly nickname: string }[];
  /** What a host was called last that is in the mesh no more. */
  readonly wasCalled: (peer: PeerName) => string | undefined;
}

/** The requests that are about names. */
export type NamesApi = Pick<ControlApi, "names" | "addName" | "removeName" | "lookUpName">;

/** Serves them. */
export function namesApi({ attachments, names, peers, wasCalled }: NamesApiParts): NamesApi {
  const need = (action: string): Names => {
    if (names === undefined) throw namesOff(action);
    return names;
  };
  /** For words about entries: who is called what, and how those are that this host probes. */
  const around = ({ checks, directory, domain, troubleOf }: Names) => {
    const all = peers();
    const nicknames = new Map(all.map(({ name, nickname }) => [name, nickname]));
    const probed = new Map(checks.targets().map((target) => [containerOf(target), checks.healthOf(target)]));
    const nicknameOf = (peer: PeerName): string => nicknames.get(peer) ?? wasCalled(peer) ?? "";
    const stateOf = ({ away, container, origin }: DnsEntry) => {
      const isOwn = origin === all[0]?.name;
      return {
        health: isOwn ? probed.get(container) ?? null : null,
        trouble: isOwn ? troubleOf(container) ?? null : null,
        keptMs: away === true ? directory.keptMs(origin) : null,
      };
    };
    return { domain, nicknameOf, stateOf };
  };
  /** The target that a person means, if it is attached. */
  const holderOf = (text: string): string => {
    const holder = attachments.holderOf(text, { remembered: true });
    if (attachments.list().some(({ target }) => target === holder)) return holder;
    throw new MeshnetError("attach/not-attached", `Cannot name ${text}: it is not attached`, {
      hint: `Run \`meshnet attach --name NAME ${text}\``,
    });
  };
  return {
    names(): readonly NameReport[] {
      const all = need("Cannot list names");
      const { directory } = all;
      const small = new Map(
        [...directory.entries()].filter(isAlive).map((each) => [each, each.hostname.toLowerCase()]),
      );
      const sets = Map.groupBy(small, ([{ type }, name]) => `${type} ${name}`).values();
      const answered = new Set([...sets].flatMap((set) => bestOf(set.map(([entry]) => entry))));
      const known = { ...around(all), isAnswered: (entry: DnsEntry) => answered.has(entry) };
      return [...small].sort(([a, x], [b, y]) => x < y ? -1 : x > y ? 1 : compareOnWire(a, b))
        .map(([entry]) => nameReport(entry, known));
    },
    addName(request: NameRequest): NameAnswer {
      const all = need(`Cannot add ${request.name}`);
      const hostname = givenName(request.name, all.domain, "add the name");
      if (request.records.length === 0 && request.order === null) {
        throw new MeshnetError(
          "usage/bad-record",
          `Cannot add ${hostname.slice(0, -1)}: no record is given`,
          {
            hint:
              "Give an address, an attached target, cname:NAME or srv:PRIORITY:WEIGHT:PORT:NAME; or --order",
          },
        );
      }
      const { data, targets } = readRecords(request.records, all.domain, holderOf);
      refuseOrders(hostname, data);
      const ordered = orderOf(request, recordsOf(hostname, all));
      refuseAliasBesideOthers(hostname, [...data, ...targets.map(() => undefined)], all);
      const after = targets.map((target) => [target, namesAfter(all, target, [hostname])!] as const);
      all.own.add(hostname, [...data, ...ordered.add]);
      all.own.remove(ordered.remove);
      for (const [target, hostnames] of after) all.own.setNames(target, hostnames);
      return answerOf(hostname, all);
    },
    removeName(request: NameRequest): NameAnswer {
      const all = need(`Cannot remove ${request.name}`);
      const { own } = all;
      const hostname = hostnameOf(request.name, all.domain, "remove the name");
      const wanted = readRecords(
        request.records,
        all.domain,
        (text) => attachments.holderOf(text, { remembered: true }),
      );
      const everything = request.records.length === 0;
      const records = recordsOf(hostname, all).filter(({ data }) =>
        everything || wanted.data.some((each) => writeRecord(each) === writeRecord(data))
      );
      const targets = targetsOf(hostname, all).filter((target) =>
        everything || wanted.targets.includes(target)
      );
      const missing = wanted.data.length + wanted.targets.length - records.length - targets.length;
      if (everything ? records.length + targets.length === 0 : missing > 0) {
        throw notOurs(hostname, request, all);
      }
      if (targets.some((target) => target.startsWith(ENGINE_PREFIX))) throw engines(hostname);
      own.remove(records);
      for (const target of targets) {
        const left = own.namesOf(target).map((name) => qualified(name, all.domain));
        own.setNames(target, left.filter((name) => !isSame(name, hostname)));
      }
      return answerOf(hostname, all);
    },
    lookUpName({ name }): LookupAnswer {
      const all = need(`Cannot look up ${name}`);
      const { directory, domain } = all;
      const hostname = hostnameOf(name, domain, "look up");
      const found = answersFor(directory.entries(), hostname);
      if (found.length > 0) {
        const known = { ...around(all), isAnswered: () => true };
        return { name: hostname.slice(0, -1), records: found.map((entry) => nameReport(entry, known)) };
      }
      if ([...directory.entries()].some((entry) => isAlive(entry) && isSame(entry.hostname, hostname))) {
        throw nothingToAnswer(hostname);
      }
      const near = suggestion(hostname, all);
      throw new MeshnetError(
        "dns/not-found",
        `Cannot find ${hostname.slice(0, -1)}: no host gives this name`,
        {
          hint: near === undefined ? "`meshnet dns list` shows all names" : `Did you mean ${near}?`,
        },
      );
    },
  };
}

/** What `status` is told of names; `found` is what the name server has said, and `peers` is who is in the mesh. */
export function nameSources(
  names: Names | undefined,
  found: DnsReport | undefined,
  peers: readonly { readonly name: PeerName; readonly nickname: string }[],
): NamesSources | undefined {
  if (names === undefined) return undefined;
  const {
    checks,
    config: { order, resolvConf, stubs, ttl },
    counts,
    directory,
    domain,
    forContainers,
    otherDomains,
    service,
    troubleOf,
  } = names;
  const { address, hint, problem } = forContainers();
  const servers = found?.servers.map(serverReport) ?? null;
  const others = service.listeners.filter(({ endpoint }) => endpoint.netns === undefined);
  return {
    report: {
      domain: domain.slice(0, -1),
      address: address ?? null,
      listen: others.map(({ endpoint, state }) => ({
        address: formatEndpoint(endpoint),
        listening: state === "listening",
      })),
      ...{ order, ttl: ttl ?? null },
      upstream: found?.upstreams.map(formatEndpoint) ?? null,
      forward: stubs.flatMap((stub) =>
        stub.servers.map((server) => `${stub.domain.slice(0, -1)}=${formatEndpoint(server)}`)
      ),
      servers,
      counters: found?.counters ?? null,
      probed: checks.targets().flatMap((target) => {
        const health = checks.healthOf(target);
        return health === null
          ? []
          : [{ target, ...health, trouble: troubleOf(containerOf(target)) ?? null }];
      }),
      ...{ entries: counts.all, own: counts.own },
    },
    problems: [
      ...problemOfSkew(directory.refused()),
      ...otherDomains.problems(new Map(peers.map(({ name, nickname }) => [name, nickname]))),
      ...found === undefined && service.isNeeded ? [SILENT] : [],
      ...(problem === undefined ? [] : [{
        message: `Containers do not reach the name server of this host: ${problem}`,
        hint: hint ?? "It is tried again; the log says more",
      }]),
      ...silentServers(servers ?? [], resolvConf).lost,
      ...others.flatMap((listener) => listener.state === "listening" ? [] : [problemOfListener(listener)]),
    ],
  };
}

function serverReport(one: OtherServer): OtherServerReport {
  const { answeredAgoMs, domain, server, silentMs, state, unreachable } = one;
  return {
    ...{ address: formatEndpoint(server), domain: domain?.slice(0, -1) ?? null, state, unreachable },
    ...{ answeredAgoMs: answeredAgoMs ?? null, silentMs: silentMs ?? null },
  };
}

const SILENT: Problem = {
  message: "The name server of this host does not answer",
  hint: "It is started anew; the log says why",
};

function problemOfSkew(refused: string | undefined): readonly Problem[] {
  if (refused === undefined) return [];
  return [{
    message: `Names of another host are refused, and the connection ended: ${refused}`,
    hint: "Let all hosts have the right time, for example by chrony or systemd-timesyncd",
  }];
}

function problemOfListener({ endpoint, hint, reason }: DnsListener & { readonly state: "waiting" }): Problem {
  return { message: `Names are not answered on ${formatEndpoint(endpoint)}: ${reason}`, hint: hint ?? null };
}

function readRecords(
  texts: readonly string[],
  domain: string,
  holderOf: (text: string) => string,
): { readonly data: readonly EntryData[]; readonly targets: readonly string[] } {
  const read = texts.map((text) => readRecordOrTarget(text, domain));
  return {
    data: read.flatMap((each) => "data" in each ? [each.data] : []),
    targets: [...new Set(read.flatMap((each) => "target" in each ? [holderOf(each.target)] : []))],
  };
}

/** Records of a name by `dns add`, in whatever letters. */
function recordsOf(hostname: string, { own }: Names): readonly OwnRecord[] {
  return own.records().filter((record) => isSame(record.hostname, hostname));
}

/** Targets here that have a name. */
function targetsOf(hostname: string, { domain, own }: Names): readonly string[] {
  return own.targets().filter(([, names]) => names.some((name) => isSame(qualified(name, domain), hostname)))
    .map(([target]) => target);
}

/** What has to be done so that a name has another order: one record takes the place of the other. */
function orderOf(
  { order }: NameRequest,
  present: readonly OwnRecord[],
): { readonly add: readonly EntryData[]; readonly remove: readonly OwnRecord[] } {
  if (order === null) return { add: [], remove: [] };
  const wanted = DNS_ORDERS.find((each) => each === order);
  if (wanted === undefined) {
    throw new MeshnetError("usage/bad-option", `Cannot use order ${JSON.stringify(order.slice(0, 80))}`, {
      hint: `Give ${DNS_ORDERS.join(", ")}`,
    });
  }
  const record = recordOfOrder(wanted);
  const remove = present.filter(({ data }) => isOrder(data) && data.rdata !== record.rdata);
  return { add: [record], remove };
}

/** An alias stands alone (RFC 1034, 3.6.2): what it leads to has all the rest. `undefined` are addresses of targets. */
function refuseAliasBesideOthers(
  hostname: string,
  added: readonly (EntryData | undefined)[],
  names: Names,
): void {
  const before = recordsOf(hostname, names).map(({ data }) => data);
  const all = [...before, ...added, ...targetsOf(hostname, names).map(() => undefined)]
    .filter((data) => data === undefined || !isOrder(data));
  const texts = new Set(all.map((data) => data === undefined ? "" : writeRecord(data)));
  const alias = all.find((data) => data?.type === RECORD_TYPE.CNAME);
  if (alias === undefined || added.length === 0) return;
  const name = hostname.slice(0, -1);
  if (texts.size > 1) {
    const isNew = all.length === added.length;
    throw new MeshnetError("dns/conflict", `Cannot add to ${name}: an alias has no other records`, {
      hint: isNew
        ? "Give the alias alone, or the other records without it"
        : `Remove what it has with \`meshnet dns remove ${name}\`, or take another name`,
    });
  }
  if (writeRecord(alias).toLowerCase() === `cname:${hostname.toLowerCase()}`) {
    throw new MeshnetError("dns/conflict", `Cannot add ${name}: the alias would stand for itself`, {
      hint: "Give the name that it stands for",
    });
  }
}

function isOrder({ type }: EntryData): boolean {
  return type === RECORD_TYPE.ORDER;
}

/** A name has one order, so what gives another takes the place of the one it had: by an option of its own. */
function refuseOrders(hostname: string, data: readonly EntryData[]): void {
  const order = data.find(isOrder);
  if (order === undefined) return;
  const text = writeRecord(order);
  throw new MeshnetError("usage/bad-record", `Cannot add ${text} to ${hostname.slice(0, -1)} as a record`, {
    hint: `Give the order with --order ${text.slice("order:".length)}`,
  });
}

/** Nothing is answered for a name that has an order alone. */
function nothingToAnswer(hostname: string): MeshnetError {
  const name = hostname.slice(0, -1);
  return new MeshnetError("dns/not-found", `Cannot find ${name}: it has an order and no other record`, {
    hint: `Give it one, for example with \`meshnet dns add ${name} ADDRESS\``,
  });
}

function notOurs(hostname: string, { records }: NameRequest, names: Names): MeshnetError {
  const name = hostname.slice(0, -1);
  const own = answerOf(hostname, names).records;
  const others = [...names.directory.entries()].filter((entry) =>
    isAlive(entry) && isSame(entry.hostname, hostname)
  );
  const hint = own.length > 0
    ? `Its records here are: ${own.join(", ")}`
    : others.length > 0
    ? `Other hosts give it: remove it there; \`meshnet dns lookup --json ${name}\` shows where`
    : "`meshnet dns list` shows all names";
  const what = records.length === 0 ? name : `${records.join(", ")} from ${name}`;
  return new MeshnetError("dns/not-found", `Cannot remove ${what}: this host does not give it`, { hint });
}

/** What an engine gives would be back with the next event of its container. */
function engines(hostname: string): MeshnetError {
  const name = hostname.slice(0, -1);
  return new MeshnetError("dns/conflict", `Cannot remove ${name}: the engine gives it to a container`, {
    hint: "Rename the container, start it without that host name, alias or label, or take it off the network",
  });
}

/** All that this host gives for a name. */
function answerOf(hostname: string, { directory }: Names): NameAnswer {
  const own = [...directory.own()].filter((entry) => isAlive(entry) && isSame(entry.hostname, hostname));
  return { name: hostname.slice(0, -1), records: own.sort(compareOnWire).map(writeRecord) };
}
