/** Names: the directory on this host's clock and mesh, the names that this host gives, and the thread that answers. */
import { Wakeup } from "../../../ffi/poll.ts";
import { CONTAINER_PREFIX, type Exposed, findTarget, parseAttachTarget } from "../../attach/mod.ts";
import { formatCidr, formatEndpoint, type Ip, ipv4Number, isIpv4, parseCidr } from "../../core/addr.ts";
import { NAME_SERVER_IP } from "../../core/name_leg.ts";
import type { PeerName } from "../../core/names.ts";
import type { Logger } from "../../core/ports.ts";
import { DirectoryShell } from "../../dns/records/directory_shell.ts";
import type { DnsClient } from "../../dns/answers/clients.ts";
import { hostName } from "../../dns/records/domain.ts";
import { containerOf, OwnNames } from "../../dns/records/own_names_shell.ts";
import type { DnsEndpoint, DnsListener } from "../../dns/service_types.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import { SystemAlarm } from "../../sys/clock.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import type { Config } from "../config/config.ts";
import type { DnsConfig } from "../config/config_dns.ts";
import { ENGINE_PREFIX, EXPOSE_HOLDER, HOST_HOLDER } from "../../core/holders.ts";
import { addressesOf, extensionsOfNames, isAlive, type Names } from "../names/names.ts";
import { type NameService, startNameService } from "../threads/names_client.ts";
import { HealthVotes } from "../names/health_votes.ts";
import { OtherDomains } from "../names/other_domains.ts";
import { ResolvFiles } from "../names/resolv_files.ts";
import { TargetChecks } from "../names/target_checks.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { NameLegPart } from "./open_name_leg.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";

/** Names of the mesh. Disposing it answers nothing and sends nothing any more; what is stored stays. */
export interface NamesPart extends AsyncDisposable {
  /** undefined: names are off. */
  readonly names: Names | undefined;
}

/** How long another server has for its answer, in milliseconds. */
const PATIENCE_MS = 2_000;
/** Distances to other hosts change slowly: they are told when there is another reason to wake up, and not more often. */
const DISTANCES_MS = 10_000;
const LOOPBACK = "127.0.0.1" as Ip;

/** Gives the names that are remembered to what is attached, and begins to tell, to hear and to answer. */
export function openNames(
  config: Pick<Config, "dns" | "nickname" | "without">,
  {
    attached,
    base: { clock, faults, logger },
    exposed,
    mesh: { router },
    nameLeg,
    state: { identity, store },
  }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    /** This host's own place in the network. */
    readonly exposed: Pick<Exposed, "addresses">;
    readonly mesh: RouterPart;
    readonly nameLeg: NameLegPart;
    readonly state: State;
  },
): NamesPart {
  const filesOf = ({ domain, resolvConf }: Pick<DnsConfig, "domain" | "resolvConf">) =>
    new ResolvFiles({ store, logger, server: NAME_SERVER_IP, domain, resolvConf });
  if (config.dns === undefined) {
    filesOf({ domain: "", resolvConf: "" }).withdraw();
    return { names: undefined, [Symbol.asyncDispose]: async () => {} };
  }
  const { domain, listen, resolvConf } = config.dns;
  if (readTextIfReadable(resolvConf) === undefined) {
    const hint =
      "Name another one with --resolv-conf; until it can be read, names of others are not answered";
    logger.warn("file of other name servers cannot be read", { path: resolvConf, hint });
  }
  const self = identity.name;
  /** It is told of each change, as soon as it is there; before, it asks for all. */
  const answering: { service: NameService | undefined } = { service: undefined };
  const { counts, directory, otherDomains } = openDirectory(config.dns, {
    ...{ answering, announced: extensionsOfNames(config), clock, faults, router, self },
  });
  const called = hostName(config.nickname, domain);
  const alsoCalled = (target: string) =>
    target === EXPOSE_HOLDER && called !== undefined
      ? { container: HOST_HOLDER, hostname: called }
      : undefined;
  const own = new OwnNames({ store, directory, domain, alsoCalled, logger });
  const service = startNameService({
    config: { ...config.dns, self, plainCap: undefined, patienceMs: PATIENCE_MS },
    entries: () => directory.entries(),
    createWakeup: () => Wakeup.create(),
    log: logger,
    guard: (what, work) => faults.guard(what, work),
    onListeners: tellWaiting(logger),
    onHealth: (target, health) => checks.heard(target, health),
  });
  answering.service = service;
  const { attachments, onLooked } = attached;
  const votes = new HealthVotes((container, healthy) => directory.setHealth(container, healthy));
  const checks = new TargetChecks({
    ...{ store, logger, service, clock },
    namespaceOf: (target) =>
      findTarget(parseAttachTarget(asTarget(target)), attachments.adapters.probe)?.path,
    tell: (target, healthy) => votes.checked(containerOf(target), healthy),
  });
  const forContainers = nameLeg.listen;
  const endpoints: readonly DnsEndpoint[] = [
    ...forContainers === undefined ? [] : [forContainers],
    ...listen,
  ];
  const tellClient = clientTeller(service, listen);
  let distancesAt = -Infinity;
  const tellDistances = () => {
    if (clock.now() < distancesAt + DISTANCES_MS) return;
    distancesAt = clock.now();
    service.setDistances(distancesOf(router.snapshot()));
  };
  const names: Names = {
    ...{ domain, directory, own, counts, otherDomains, config: config.dns, service, checks },
    files: forContainers && filesOf(config.dns),
    forContainers() {
      const { problem } = nameLeg;
      const waiting = service.listeners.find(({ endpoint, state }) =>
        endpoint.netns !== undefined && state === "waiting"
      );
      const held = waiting?.state === "waiting" ? waiting : undefined;
      const why = problem ?? held?.reason;
      const hint = problem === undefined ? held?.hint : undefined;
      return { address: why === undefined ? forContainers?.ip : undefined, problem: why, hint };
    },
    attached(target, addresses, sources) {
      own.present(target, addressesOf({ addresses }));
      tellClient(target, addresses, sources);
      checks.present(target, addressesOf({ addresses }));
      tellDistances();
    },
    engineSays: (target, trouble) => votes.engineSays(containerOf(target), trouble),
    troubleOf: (container) => votes.troubleOf(container),
    forgotten(target) {
      votes.engineSays(containerOf(target), undefined);
      checks.forgotten(target);
      own.forgotten(target);
      if (target === EXPOSE_HOLDER) tellClient(target, []);
      else service.removeClient(target);
      return names.files?.restore(target);
    },
  };
  if (names.files === undefined) filesOf(config.dns).withdraw();
  giveRemembered(names, { attached, exposed, service, tellClient });
  onLooked.call = ({ adopted, restored, waiting }) => {
    const here = new Set([...adopted, ...restored]);
    for (const { addresses, target } of attachments.list()) {
      if (!here.has(target)) continue;
      own.present(target);
      checks.present(target, addressesOf({ addresses }));
    }
    for (const target of waiting) {
      own.absent(target);
      checks.absent(target);
    }
    tellDistances();
  };
  router.register(directory.channel);
  service.listen(endpoints);
  return {
    names,
    async [Symbol.asyncDispose]() {
      directory[Symbol.dispose]();
      await service.stop();
    },
  };
}

/** The directory, with counts of what is in it. It tells `answering` of each change. */
function openDirectory(
  { domain }: Pick<DnsConfig, "domain">,
  { announced, answering, clock, faults, router, self }: Pick<Base, "clock" | "faults"> & {
    /** What hosts announce that compare their names with others. */
    readonly announced: readonly string[];
    readonly answering: { readonly service: NameService | undefined };
    readonly router: RouterPart["router"];
    readonly self: PeerName;
  },
) {
  const counts = { all: 0, own: 0 };
  const otherDomains = new OtherDomains(domain);
  const count = (entry: DnsEntry | undefined, by: 1 | -1) => {
    if (entry === undefined || !isAlive(entry)) return;
    counts.all += by;
    otherDomains.count(entry, by);
    if (entry.origin === self) counts.own += by;
  };
  const directory = new DirectoryShell({
    ...{ self, domain, clock, faults, gossip: router },
    alarm: new SystemAlarm(clock, faults),
    knows: (peer) => router.knows(peer),
    compares: (peer) => announced.some((extension) => router.announces(peer, extension)),
    wallSeconds: () => Math.floor(Date.now() / 1_000),
    knock: (address, done) => faults.later("knock at a host", router.knock(address).then(done)),
  }, (before, after) => {
    count(before, -1);
    count(after, 1);
    answering.service?.watch(before, after);
  });
  return { counts, directory, otherDomains };
}

type TellClient = (
  target: string,
  addresses: readonly string[],
  /** From where else its questions come. */
  others?: readonly number[],
) => void;

/** Tells the name server who asks from which addresses. This host itself asks from those on which it is asked, too. */
function clientTeller(service: Pick<NameService, "setClient">, listen: DnsConfig["listen"]): TellClient {
  return (target, addresses, others = []) => {
    if (target !== EXPOSE_HOLDER) {
      return service.setClient(target, { ...clientOf(addresses), sources: others });
    }
    const sources = [LOOPBACK, ...listen.map(({ ip }) => ip)].flatMap(numberOf);
    service.setClient(HOST_HOLDER, { ...clientOf(addresses), sources });
  };
}

/** Gives the names of what the start found attached, and forgets those of what is attached no more. */
function giveRemembered(
  names: Names,
  { attached: { attachments, restored }, exposed, service, tellClient }: {
    readonly attached: Pick<AttachmentsPart, "attachments" | "restored">;
    readonly exposed: Pick<Exposed, "addresses">;
    readonly service: Pick<NameService, "setClient">;
    readonly tellClient: TellClient;
  },
): void {
  const { checks, files, own } = names;
  const all = attachments.list();
  const targets = new Set(all.map(({ target }) => target));
  const ownAddresses = exposed.addresses.map(({ cidr }) => formatCidr(cidr));
  const host = ownAddresses.length > 0 ? [EXPOSE_HOLDER] : [];
  checks.keepOnly(targets);
  own.keepOnly(new Set([...host, ...targets]));
  tellClient(EXPOSE_HOLDER, []);
  for (const target of host) names.attached(target, ownAddresses);
  files?.reconcile(targets);
  const there = new Set([...restored.adopted, ...restored.restored]);
  for (const { addresses, target } of all) {
    if (there.has(target)) names.attached(target, addresses);
    else {
      own.absent(target, addressesOf({ addresses }));
      service.setClient(target, clientOf(addresses));
    }
  }
}

/** Logs an address on which names are not answered: once for each reason, until they are. */
export function tellWaiting(logger: Pick<Logger, "warn">): (listeners: readonly DnsListener[]) => void {
  const told = new Map<string, string>();
  return (listeners) => {
    for (const listener of listeners) {
      const address = formatEndpoint(listener.endpoint);
      if (listener.state === "listening") {
        told.delete(address);
        continue;
      }
      const { hint, reason } = listener;
      if (told.get(address) === reason) continue;
      told.set(address, reason);
      logger.warn("names not answered", { address, reason, hint });
    }
  };
}

/** A container in a network of the engine's is where one is that is attached. */
function asTarget(target: string): string {
  return target.startsWith(ENGINE_PREFIX) ? CONTAINER_PREFIX + target.slice(ENGINE_PREFIX.length) : target;
}

/** What is known of an attached target: its addresses in the order of its kernel, from which its questions come, too. */
function clientOf(addresses: readonly string[]): DnsClient {
  return {
    addresses: addresses.flatMap((text) => {
      const cidr = parseCidr(text);
      return cidr === undefined ? [] : numberOf(cidr.ip).map((addr) => ({ addr, prefix: cidr.prefix }));
    }),
    sources: [],
  };
}

/** An IPv4 address as a number; nothing for others. */
function numberOf(ip: Ip): readonly number[] {
  return isIpv4(ip) ? [ipv4Number(ip)] : [];
}

/** Measured times to neighbours and back. */
function distancesOf({ connections }: MeshSnapshot): ReadonlyMap<PeerName, number> {
  return new Map(
    connections.flatMap(({ peer, rttMs }) =>
      peer === undefined || rttMs === undefined ? [] : [[peer, rttMs] as const]
    ),
  );
}
