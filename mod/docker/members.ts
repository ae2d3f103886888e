/** Who is in the networks that we make for an engine, and which addresses wait for containers that are stopped. Pure. */
import {
  type Cidr,
  cidrContains,
  formatCidr,
  formatMac,
  type Ip,
  isIpv4,
  type Mac,
  parseCidr,
  parseMac,
} from "../core/addr.ts";
import type { Known } from "./follower.ts";
import { healthLabel } from "./labels.ts";
import { namesOfContainer } from "./container_names.ts";

/** Containers that are remembered. */
const MAX_MEMBERS = 10_000;
/** Addresses that wait for one container: one for each network. */
const MAX_KEPT = 16;
const VERSION = 1;
/** Networks in which the engine answers no names. */
const WITHOUT_NAMES = ["bridge", "host", "none"];

/** A place in a network of ours. */
export interface MemberEndpoint {
  readonly id: string;
  readonly network: string;
  readonly address: Cidr;
  /** undefined: not known. */
  readonly mac?: Mac | undefined;
}

/** A container that is, or was when it ran, in a network of ours. */
export interface Member {
  /** As the engine calls it. */
  readonly name: string;
  /** Words that it is called by. */
  readonly names: readonly string[];
  /** How it is to be checked. */
  readonly check: string | undefined;
  /** Why the engine says that it does not answer; undefined: it does, as far as the engine knows. */
  readonly trouble: ContainerTrouble | undefined;
  /** Path of its namespace. */
  readonly sandbox: string;
  /** Whether it is in other networks whose names the engine answers. */
  readonly shares: boolean;
  /** None while it does not run. */
  readonly endpoints: readonly MemberEndpoint[];
  /** The networks of ours that it was in when it ran. */
  readonly networks: readonly string[];
  /** Addresses that wait for it. */
  readonly kept: readonly Ip[];
}

/** Why nobody is sent to a container while others have its names: by its own check, or because it is paused. */
export type ContainerTrouble = "paused" | "starting" | "unhealthy";

const TROUBLES: readonly unknown[] = [
  "paused",
  "starting",
  "unhealthy",
] satisfies readonly ContainerTrouble[];

/** Why a container does not answer, as the engine says; undefined: it does, as far as the engine knows. */
export function troubleOf(
  { health, paused }: Pick<Known, "health" | "paused">,
): ContainerTrouble | undefined {
  if (paused) return "paused";
  return health === "starting" || health === "unhealthy" ? health : undefined;
}

/** See the file. */
export class NetworkMembers {
  readonly #all = new Map<string, Member>();
  /** Addresses that containers got which have not been seen with them yet. */
  readonly #given = new Map<Ip, string>();

  /** `domain`: that of the mesh. */
  constructor(readonly domain: string) {}

  /** All, by the ids of their containers. */
  all(): IterableIterator<[id: string, member: Member]> {
    return this.#all.entries();
  }

  /** One of them. */
  get(id: string): Member | undefined {
    return this.#all.get(id);
  }

  /** Takes in what an earlier run remembered. */
  restore(id: string, member: Member): void {
    if (this.#all.size < MAX_MEMBERS) this.#all.set(id, member);
  }

  /** Takes in what the engine says of a container now; undefined: it has none with that id. Returns the addresses that
   * nobody waits for any more. */
  learn(id: string, known: Known | undefined, isOurs: (endpoint: string) => boolean): readonly Ip[] {
    const before = this.#all.get(id);
    const endpoints = known?.process === undefined ? [] : known.endpoints.flatMap((one): MemberEndpoint[] => {
      const { address, mac, network } = one;
      if (address === undefined || !isOurs(one.id)) return [];
      return [{ id: one.id, network, address, ...mac === undefined ? {} : { mac } }];
    });
    if (known !== undefined && endpoints.length > 0) {
      if (before === undefined && this.#all.size >= MAX_MEMBERS) return [];
      const here = new Set(endpoints.map(({ address }) => address.ip));
      for (const ip of here) this.#given.delete(ip);
      this.#all.set(id, {
        ...{
          name: known.name,
          names: namesOfContainer(id, known, { domain: this.domain, isOurs }),
          endpoints,
          kept: [],
        },
        ...{ check: healthLabel(known.labels), trouble: troubleOf(known), sandbox: known.sandbox },
        networks: endpoints.map(({ network }) => network),
        shares: known.endpoints.some((one) => !WITHOUT_NAMES.includes(one.network) && !isOurs(one.id)),
      });
      return addressesOf(before).filter((ip) => !here.has(ip));
    }
    if (before === undefined) return [];
    const stays = known !== undefined && known.process === undefined &&
      known.endpoints.some(({ network }) => before.networks.includes(network));
    if (!stays) {
      this.#all.delete(id);
      return addressesOf(before);
    }
    this.#all.delete(id); // the one that has rested longest comes first
    this.#all.set(id, { ...resting(before), name: known.name });
    return [];
  }

  /** An endpoint has gone. Returns its container. */
  left(endpoint: string): string | undefined {
    for (const [id, member] of this.#all) {
      const gone = member.endpoints.find((one) => one.id === endpoint);
      if (gone === undefined) continue;
      const endpoints = member.endpoints.filter((one) => one !== gone);
      this.#all.set(id, { ...member, endpoints, kept: keptWith(member.kept, [gone.address.ip]) });
      return id;
    }
    return undefined;
  }

  /** The engine gives an address back. Says whose it stays. That is whoever is in the network with it, whatever the engine
   * says: an engine that was cut off may have given it to two. */
  keeps(ip: Ip): string | undefined {
    const given = this.#given.get(ip);
    this.#given.delete(ip);
    const living = this.whoHas(ip);
    for (const [id, member] of this.#all) {
      if (living !== undefined) {
        const kept = member.kept.filter((each) => each !== ip);
        if (kept.length < member.kept.length) this.#all.set(id, { ...member, kept });
      } else if (member.kept.includes(ip) || id === given) {
        this.#all.set(id, { ...member, kept: keptWith(member.kept, [ip]) });
        return id;
      }
    }
    return living;
  }

  /** Who is in the network with an address. */
  whoHas(ip: Ip): string | undefined {
    for (const [id, { endpoints }] of this.#all) {
      if (endpoints.some(({ address }) => address.ip === ip)) return id;
    }
    return undefined;
  }

  /** Containers that do not run, and for which an address of this part of the network waits. */
  waiting(from: Cidr): readonly string[] {
    return [...this.#all].flatMap(([id, { endpoints, kept }]) =>
      endpoints.length === 0 && kept.some((ip) => isIn(ip, from)) ? [id] : []
    );
  }

  /** Gives a container that starts the address that waits for it, if that is still this host's. */
  give(id: string, from: Cidr, isHeld: (ip: Ip) => boolean = () => true): Ip | undefined {
    const ip = this.#all.get(id)?.kept.find((each) => isIn(each, from) && isHeld(each));
    if (ip !== undefined) this.take(ip);
    return ip;
  }

  /** Somebody gets this very address. Returns for whom it waited. */
  take(ip: Ip): string | undefined {
    for (const [id, member] of this.#all) {
      if (!member.kept.includes(ip)) continue;
      this.#all.set(id, { ...member, kept: member.kept.filter((each) => each !== ip) });
      this.#given.set(ip, id);
      return id;
    }
    return undefined;
  }

  /** Nobody waits any more for the address of this part of the network that has waited longest. */
  giveUp(from: Cidr): Ip | undefined {
    const [id] = this.waiting(from);
    const member = id === undefined ? undefined : this.#all.get(id);
    const ip = member?.kept.find((each) => isIn(each, from));
    if (member === undefined) return undefined;
    this.#all.set(id!, { ...member, kept: member.kept.filter((each) => each !== ip) });
    return ip;
  }

  /** Whether an address waits for a container. */
  isKept(ip: Ip): boolean {
    return [...this.#all.values()].some(({ kept }) => kept.includes(ip));
  }
}

function addressesOf(member: Member | undefined): readonly Ip[] {
  return member === undefined ? [] : [...member.endpoints.map(({ address }) => address.ip), ...member.kept];
}

/** How a container is remembered that does not run. */
function resting(member: Member): Member {
  const kept = keptWith(member.kept, member.endpoints.map(({ address }) => address.ip));
  return { ...member, endpoints: [], kept, trouble: undefined, sandbox: "", shares: false };
}

function keptWith(kept: readonly Ip[], more: readonly Ip[]): readonly Ip[] {
  return [...new Set([...kept, ...more])].slice(-MAX_KEPT);
}

function isIn(ip: Ip, { ip: base, prefix }: Cidr): boolean {
  return isIpv4(ip) === isIpv4(base) && cidrContains({ ip: base, prefix }, ip);
}

/** A member as it is stored. */
export function writeMember(member: Member): string {
  const endpoints = member.endpoints.map((one) => ({
    ...one,
    address: formatCidr(one.address),
    mac: one.mac === undefined ? undefined : formatMac(one.mac),
  }));
  return JSON.stringify({ version: VERSION, ...member, endpoints });
}

/** Reads what writeMember() wrote; undefined for anything else. */
export function readMember(text: string): Member | undefined {
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    const { check, endpoints, kept, name, names, networks, sandbox, shares, trouble, version } = fields;
    if (version !== VERSION || typeof name !== "string" || typeof sandbox !== "string") return undefined;
    if (!areTexts(names) || !areTexts(networks) || !areTexts(kept) || !Array.isArray(endpoints)) {
      return undefined;
    }
    return {
      ...{ name, names, networks, sandbox, shares: shares === true },
      trouble: TROUBLES.includes(trouble) ? trouble as ContainerTrouble : undefined,
      check: typeof check === "string" ? check : undefined,
      kept: kept.flatMap((each) => parseCidr(`${each}/32`)?.ip ?? []),
      endpoints: endpoints.flatMap((one: Record<string, unknown>) => {
        const { address, id, network } = one;
        const mac = parseMac(String(one["mac"]));
        const cidr = parseCidr(String(address));
        const isWhole = cidr !== undefined && typeof id === "string" && typeof network === "string";
        return isWhole ? [{ id, network, address: cidr, ...mac === undefined ? {} : { mac } }] : [];
      }),
    };
  } catch {
    return undefined;
  }
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
