/** Containers in the engine's networks of ours: they have names, find names, and keep their addresses. */
import {
  CONTAINER_PREFIX,
  type ContainerLookups,
  type EngineEndpoints,
  outerInterface,
} from "../../attach/mod.ts";
import type { HolderReport } from "../../control/address_types.ts";
import type { Problem } from "../../control/api_types.ts";
import { type Cidr, formatCidr, type Ip } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { ENGINE_PREFIX } from "../../core/holders.ts";
import type { Logger, Store } from "../../core/ports.ts";
import { MEMBER_PREFIX } from "../../core/store_keys.ts";
import type { Known } from "../../docker/follower.ts";
import { isProgram, LABEL, NO_PROGRAM } from "../../docker/labels.ts";
import { type Member, NetworkMembers, readMember, writeMember } from "../../docker/members.ts";
import type { UserHere } from "../addresses/taken_addresses.ts";
import type { EnginePlaces } from "./engine_places.ts";
import { JoinedEndpoints } from "./joined_endpoints.ts";
import { sourceIn } from "./inside_names.ts";
import { givenName, isSame, type Names } from "../names/names.ts";
import { readHealth } from "../names/target_checks.ts";

/** So many stopped containers are asked about when one starts: the engine has other work. */
const MAX_ASKED = 32;
const MAX_SHOWN = 80;
/** Problems that are told one by one. */
const MAX_PROBLEMS = 20;

/** What it is made of. */
export interface MemberKeeperParts {
  readonly store: Store;
  readonly logger: Logger;
  /** undefined: there are none. */
  readonly names:
    | Pick<Names, "attached" | "checks" | "domain" | "engineSays" | "forgotten" | "own">
    | undefined;
  readonly endpoints: Pick<EngineEndpoints, "has" | "look">;
  readonly lookups: Pick<ContainerLookups, "at" | "drop" | "hasOthers" | "keep">;
  /** Whether the container whose namespace is at a path is in other networks of the engine, too. */
  readonly shares: (path: string, isShared: boolean) => void;
  /** Who is in our networks as the engine has it; undefined: it is not asked. */
  readonly places: Pick<EnginePlaces, "has" | "isUsed" | "lookSoon"> | undefined;
  /** Whether an address that was given out is this host's. */
  readonly holds: (ip: Ip) => boolean;
  /** Gives an address back to everybody. */
  readonly release: (ip: Ip) => Promise<void>;
  /** Whether a network namespace is at a path. */
  readonly isThere: (path: string) => boolean;
  /** Runs work that nobody waits for. */
  readonly later: (what: string, work: Promise<unknown>) => void;
  /** Runs work once, so many milliseconds from now. */
  readonly after: (ms: number, work: () => void) => void;
}

/** What the engine is asked. */
export interface MemberEngine {
  /** What is known of a container. */
  readonly get: (id: string) => Known | undefined;
  readonly all: () => IterableIterator<[id: string, known: Known]>;
  /** Whether containers that are not known have gone. */
  readonly isSynced: boolean;
  /** Which of these containers the engine is working on now; undefined: it cannot be asked. */
  readonly busy: (ids: readonly string[]) => Promise<ReadonlySet<string> | undefined>;
  /** Whether answers about containers are waited for. */
  readonly isLooking: boolean;
  /** Has it asked for all containers: an event may be lost. */
  readonly listAgain: () => void;
}

/** See the file. */
export class MemberKeeper {
  readonly #parts: MemberKeeperParts;
  readonly #members: NetworkMembers;
  readonly #joined: JoinedEndpoints;
  readonly #stored = new Map<string, string>();
  /** Where questions are answered, by container. */
  readonly #paths = new Map<string, string>();
  /** What is not as somebody wished, by container. */
  readonly #problems = new Map<string, Problem>();
  /** Set by whoever follows the engine. */
  engine: MemberEngine | undefined;

  /** Takes over what an earlier run remembered: names are answered again before the engine is. */
  constructor(parts: MemberKeeperParts) {
    this.#parts = parts;
    this.#members = new NetworkMembers(parts.names?.domain ?? "");
    this.#joined = new JoinedEndpoints({
      known: () =>
        new Set([...this.#members.all()].flatMap(([, { endpoints }]) => endpoints.map(({ id }) => id))),
      lookAtPairs: () => parts.endpoints.look(),
      isLooking: () => this.engine?.isLooking === true,
      listAgain: () => this.engine?.listAgain(),
      later: parts.after,
    });
    for (const [key, text] of parts.store.list(MEMBER_PREFIX)) {
      const id = key.slice(MEMBER_PREFIX.length);
      const member = readMember(text);
      this.#stored.set(id, text);
      if (member === undefined) this.#remember(id);
      else {
        this.#members.restore(id, member);
        for (const { id: endpoint } of member.endpoints) {
          if (!parts.endpoints.has(endpoint)) this.#members.left(endpoint);
          else parts.lookups.at(endpoint, member.sandbox, true);
        }
        this.#show(id);
      }
    }
  }

  /** Whether a container is in a network of ours, or an address waits for it. */
  has(id: string): boolean {
    return this.#members.get(id) !== undefined;
  }

  /** Whether an endpoint of the engine is one of ours. */
  isOurs(endpoint: string): boolean {
    const { endpoints, places } = this.#parts;
    return endpoint !== "" && (endpoints.has(endpoint) || places?.has(endpoint) === true);
  }

  /** What is not as somebody wished. */
  problems(): readonly Problem[] {
    return [...this.#problems.values()].slice(0, MAX_PROBLEMS);
  }

  /** How many containers are connected. */
  get connected(): number {
    const isThere = this.#parts.endpoints.look();
    return [...this.#members.all()].filter(([, { endpoints }]) => endpoints.some((one) => isThere(one.id)))
      .length;
  }

  /** Who is connected, at which MAC addresses. */
  here(): readonly UserHere[] {
    return [...this.#members.all()].flatMap(([id, { endpoints, name }]) =>
      endpoints.map(({ address, mac }) => ({ target: CONTAINER_PREFIX + id, name, mac, ips: [address.ip] }))
    );
  }

  /** Who has which addresses, for people. */
  holders(): readonly HolderReport[] {
    const isThere = this.#parts.endpoints.look();
    return [...this.#members.all()].map(([id, { endpoints, kept, name, trouble }]) => ({
      ...{ holder: CONTAINER_PREFIX + id, name, attached: endpoints.some((one) => isThere(one.id)) },
      addresses: [...endpoints.map(({ address }) => formatCidr(address)), ...kept.map((ip) => `${ip}/32`)],
      names: this.#parts.names?.own.namesOf(ENGINE_PREFIX + id) ?? [],
      health: this.#parts.names?.checks.healthOf(ENGINE_PREFIX + id) ?? null,
      trouble: trouble ?? null,
    }));
  }

  /** Something may have changed about a container. */
  changed(id: string): void {
    const { engine } = this;
    if (engine === undefined) return;
    const known = engine.get(id);
    if (known === undefined && !engine.isSynced) return;
    const before = this.#members.get(id);
    const freed = this.#members.learn(id, known, (endpoint) => this.isOurs(endpoint));
    for (const ip of freed) this.#free(ip);
    const after = this.#members.get(id);
    for (const { id: endpoint } of before?.endpoints ?? []) {
      if (after?.endpoints.some((one) => one.id === endpoint) !== true) this.#parts.lookups.drop(endpoint);
    }
    const path = this.#namespaceOf(known);
    for (const { id: endpoint } of after?.endpoints ?? []) {
      if (path !== undefined) this.#parts.lookups.at(endpoint, path, true);
    }
    if (before === undefined && after === undefined) return;
    this.#show(id);
  }

  /** All containers are known. */
  synced(): void {
    const { engine } = this;
    if (engine === undefined) return;
    const all = new Set([...this.#members.all(), ...engine.all()].map(([id]) => id));
    for (const id of all) this.changed(id);
  }

  /** An endpoint will be in the namespace at that path. Says whether it is the first one of ours there. */
  joins(endpoint: string, sandbox: string): boolean {
    this.#joined.joined(endpoint);
    if (sandbox === "") return true;
    const { lookups } = this.#parts;
    const isFirst = !lookups.hasOthers(sandbox, endpoint); // it may have been seen there already
    lookups.at(endpoint, sandbox, false);
    return isFirst;
  }

  /** An endpoint is leaving, or has left. */
  leaves(endpoint: string): void {
    this.#joined.left(endpoint);
    this.#parts.lookups.drop(endpoint);
    const id = this.#members.left(endpoint);
    if (id !== undefined) this.#show(id);
  }

  /** Looks whether endpoints are still there: those with these host ends. With `undefined` all, which takes longer, and
   * whether containers find names. */
  look(only: readonly string[] | undefined): void {
    const { endpoints, lookups } = this.#parts;
    const isThere = only === undefined ? endpoints.look() : endpoints.has.bind(endpoints);
    for (const [container, member] of [...this.#members.all()]) {
      for (const { id } of member.endpoints) {
        const isMeant = only?.includes(outerInterface(id)) ?? true;
        if (isMeant && !isThere(id)) this.#lost(container, id);
      }
    }
    if (only === undefined) lookups.keep();
  }

  /** An interface has gone, and the engine did not say that it would. */
  #lost(container: string, endpoint: string): void {
    if (this.namespaceOf(container, endpoint) === undefined) return this.leaves(endpoint);
    this.#show(container); // without the names
    this.#parts.places?.lookSoon();
  }

  /** Where the namespace of a running container is that has this endpoint, as far as is known. */
  namespaceOf(container: string, endpoint: string): string | undefined {
    const known = this.engine?.get(container);
    return known?.endpoints.some(({ id }) => id === endpoint) ? this.#namespaceOf(known) : undefined;
  }

  /** The engine gives an address back: whether it stays with its container. */
  keeps(ip: Ip): boolean {
    const id = this.#members.keeps(ip);
    if (id !== undefined) this.#show(id);
    return id !== undefined;
  }

  /** Whether an address waits for a stopped container. */
  isKept(ip: Ip): boolean {
    return this.#members.isKept(ip);
  }

  /** The address that waits for the container that the engine is starting; undefined: none waits in this part of the network.
   * The engine does not say for which container it asks, so it is asked which of those that wait it is working on. */
  async addressFor(from: Cidr): Promise<Ip | undefined> {
    const waiting = this.#members.waiting(from).slice(-MAX_ASKED);
    if (waiting.length === 0) return undefined;
    const busy = await this.engine?.busy(waiting);
    const still = this.#members.waiting(from); // others were given theirs meanwhile
    const id = waiting.find((one) => still.includes(one) && (busy?.has(one) ?? true));
    const ip = id === undefined ? undefined : this.#members.give(id, from, this.#parts.holds);
    if (id !== undefined) this.#remember(id);
    return ip;
  }

  /** Nobody has a free address: gives back the one that has waited longest. Says whether there was one. */
  async giveUp(from: Cidr): Promise<boolean> {
    const waits = [...this.#members.waiting(from)];
    const ip = this.#members.giveUp(from);
    if (ip === undefined) return false;
    this.#remember(waits[0]!);
    await this.#parts.release(ip);
    return true;
  }

  /** Somebody asks for this very address: whether it is held already, for a stopped container. */
  take(ip: Ip): boolean {
    const id = this.#members.take(ip);
    if (id !== undefined) this.#remember(id);
    return id !== undefined;
  }

  #free(ip: Ip): void {
    if (this.#members.whoHas(ip) !== undefined || this.#parts.places?.isUsed(ip)) return; // others have it
    this.#parts.later("give an address back", this.#parts.release(ip));
  }

  /** Where a running container's namespace is, as far as this process sees it. */
  #namespaceOf(known: Known | undefined): string | undefined {
    if (known?.process === undefined) return undefined;
    const { isThere } = this.#parts;
    return [known.sandbox, `/proc/${known.process.pid}/ns/net`].find((path) => path !== "" && isThere(path));
  }

  /** Has the names of a container answered as it is now. */
  #show(id: string): void {
    this.#remember(id);
    const { names } = this.#parts;
    const member = this.#members.get(id);
    const holder = ENGINE_PREFIX + id;
    if (names === undefined) return;
    const plugged = member?.endpoints.filter(({ id }) => this.#parts.endpoints.has(id)) ?? [];
    if (member === undefined || plugged.length === 0) {
      this.#problems.delete(id);
      names.engineSays(holder, undefined);
      this.#answersAt(id, undefined, false);
      return void names.forgotten(holder);
    }
    const whole = this.#wholeNames(id, member, names.domain);
    const addresses = plugged.map(({ address }) => formatCidr(address));
    names.own.lend(holder, whole, plugged.map(({ address }) => address.ip));
    const path = this.#namespaceOf(this.engine?.get(id)) ?? member.sandbox;
    names.attached(holder, addresses, [sourceIn(path)]);
    this.#answersAt(id, path, member.shares);
    names.engineSays(holder, member.trouble);
  }

  /** Notes where questions of a container are answered now; undefined: nowhere. */
  #answersAt(id: string, path: string | undefined, isShared: boolean): void {
    const before = this.#paths.get(id);
    if (before !== undefined && before !== path) this.#parts.shares(before, false);
    if (path === undefined) return void this.#paths.delete(id);
    this.#paths.set(id, path);
    this.#parts.shares(path, isShared);
  }

  /** The names that can be used; why the others cannot is told. */
  #wholeNames(id: string, { check, name, names }: Member, domain: string): readonly string[] {
    const whole: string[] = [];
    let problem: Problem | undefined;
    const attempt = (what: string, work: () => void) => {
      try {
        work();
      } catch (thrown) {
        if (!(thrown instanceof MeshnetError)) throw thrown;
        problem ??= { message: `${name} is ${what}: ${thrown.message}`, hint: thrown.hint ?? null };
      }
    };
    for (const word of names) {
      attempt("not found by one of its names", () => {
        const hostname = givenName(word, domain, "use the name");
        if (!whole.some((other) => isSame(other, hostname))) whole.push(hostname);
      });
    }
    attempt("not checked", () => {
      if (check !== undefined && isProgram(check)) {
        const shown = JSON.stringify(check.slice(0, MAX_SHOWN));
        throw new MeshnetError("usage/bad-health", `Cannot use the label ${LABEL.health}, ${shown}`, {
          hint: NO_PROGRAM,
        });
      }
      const wanted = check === undefined ? undefined : readHealth(check);
      this.#parts.names?.checks.set(ENGINE_PREFIX + id, wanted);
    });
    const before = this.#problems.get(id);
    if (problem === undefined) this.#problems.delete(id);
    else {
      this.#problems.set(id, problem);
      if (before?.message !== problem.message) {
        this.#parts.logger.warn("container-not-as-wished", { container: name, reason: problem.message });
      }
    }
    return whole;
  }

  #remember(id: string): void {
    const { logger, store } = this.#parts;
    const member = this.#members.get(id);
    const text = member === undefined ? undefined : writeMember(member);
    if (text === this.#stored.get(id)) return;
    try {
      store.putAll([[MEMBER_PREFIX + id, text]]);
      if (text === undefined) this.#stored.delete(id);
      else this.#stored.set(id, text);
    } catch (thrown) { // what the engine says next is written again
      logger.error("container not remembered", { container: id, reason: messageOf(thrown) });
    }
  }
}
