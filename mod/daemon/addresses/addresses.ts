/** Attaching with addresses of the range: what is asked for is allocated first, and what is detached goes back. */
import { type AddressWish, type Attachments, parseAddressWish } from "../../attach/mod.ts";
import type { WaitRequest } from "../../control/address_types.ts";
import type { AttachAnswer, AttachRequest } from "../../control/api_types.ts";
import { type Cidr, cidrContains, formatCidr, type Ip, parseCidr } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import { after } from "../../core/time.ts";
import type { AllocatorShell } from "../../ipam/allocator_shell.ts";
import type { Patience } from "../../ipam/allocator_types.ts";
import type { Universe } from "../../ipam/universe.ts";
import { type AddressUsers, firstInUse } from "./address_users.ts";
import {
  type Names,
  namesAfter,
  namesOff,
  restoreCheck,
  restoreNames,
  unansweredNames,
} from "../names/names.ts";
import type { HostRoute } from "../checks/routes.ts";
import { refuseRouted } from "./routed.ts";
import { readHealth } from "../names/target_checks.ts";
import type { UnusedAddresses } from "./unused_addresses.ts";
import { Turns } from "./turns.ts";

/** Allocation of addresses, where it is on. */
export interface Ipam {
  readonly shell: AllocatorShell;
  /** Allocates with a look at who uses addresses without having asked. */
  readonly unused: UnusedAddresses;
  /** The whole range, also as the allocator sees it. */
  readonly universe: Universe;
  readonly range: Cidr;
  /** Where those get an address who name no subnet. */
  readonly subnet: Cidr;
}

/** What is needed to attach with addresses. */
export interface AddressesParts {
  readonly attachments: Attachments;
  /** undefined: allocation is off, and addresses have to be given. */
  readonly ipam: Ipam | undefined;
  /** Finds out who uses an address already. */
  readonly users: Pick<AddressUsers, "userOf">;
  /** The routes of this host that lead elsewhere. */
  readonly routes: () => readonly HostRoute[];
  /** undefined: there are no names. */
  readonly names: Names | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What attaching and detaching answer without names. */
type Unnamed = ReturnType<Attachments["attach"]>;

/** Patience without end. */
export const FOREVER: Patience = { until: Infinity, noWait: false };

/** What allocation says where it is off. `orGive`: an address from the caller would do as well. */
export function ipamOff(action: string, { orGive = false } = {}): MeshnetError {
  const start = "start it with an --ip-range, the same as on the other hosts";
  return new MeshnetError(
    "ipam/off",
    `${action}: this host allocates no addresses, it runs with --ip-range off`,
    { hint: orGive ? `Give an address such as 10.2.1.1/24, or ${start}` : `To use one, ${start}` },
  );
}

/** How long a request may wait, on a clock. */
export function patienceOf({ noWait, timeoutMs }: WaitRequest, clock: Clock): Patience {
  return { until: after(clock.now(), timeoutMs), noWait };
}

/** Attachments and their addresses. Requests about one target are served one after another. */
export class Addresses {
  readonly #parts: AddressesParts;
  readonly #turns = new Turns();

  constructor(parts: AddressesParts) {
    this.#parts = parts;
  }

  /** Attaches a target with the addresses that are asked for. What fails leaves everything as it was. */
  async attach(request: AttachRequest, gone: () => AbortSignal): Promise<AttachAnswer> {
    const { attachments, ipam, names } = this.#parts;
    const { target } = request;
    const texts = request.addresses.length === 0 ? ["net:default"] : request.addresses;
    const wishes = texts.map(parseAddressWish);
    const wish = wishes.findIndex(({ kind }) => kind === "any");
    if (ipam === undefined && wish >= 0) {
      throw ipamOff(`Cannot allocate an address of ${texts[wish]} for ${target}`, { orGive: true });
    }
    const holder = attachments.holderOf(target);
    const { health } = request;
    if (health !== undefined && names === undefined) throw namesOff(`Cannot check the health of ${target}`);
    const check = health === undefined ? undefined : readHealth(health);
    const ended = () =>
      new MeshnetError("attach/failed", `Cannot attach ${target}: it was detached while it waited`);
    return await this.#turns.take(holder, async (gone) => {
      const before = names?.own.namesOf(holder) ?? [];
      const checked = names?.checks.of(holder);
      const hostnames = namesAfter(names, holder, request.names ?? []);
      if (hostnames !== undefined) names?.own.setNames(holder, hostnames);
      try {
        if (health !== undefined) names?.checks.set(holder, check);
        const given = wishes.flatMap((wish) => wish.kind === "address" ? [wish.cidr] : []);
        const answer = ipam === undefined
          ? await this.#attachGiven(given, request, gone)
          : await this.#attach(ipam, { gone, holder, request, wishes });
        const { files } = names ?? {};
        const warnings = [
          request.noDns === true ? files?.restore(holder) : files?.write(holder),
          hostnames === undefined ? undefined : names && unansweredNames(names),
        ];
        const named = this.#named(holder, withWarnings(answer, warnings));
        await names?.service.settled(); // the first one here starts the name server: it answers from now on
        return named;
      } catch (thrown) {
        if (hostnames !== undefined) restoreNames(this.#parts, holder, before);
        if (health !== undefined) restoreCheck(this.#parts, holder, checked);
        throw thrown;
      }
    }, { ended, gone });
  }

  /** Attaches with given addresses alone. */
  async #attachGiven(
    given: readonly Cidr[],
    request: AttachRequest,
    gone: () => AbortSignal,
  ): Promise<Unnamed> {
    await this.#refuseUsed(given, request, gone);
    const { addresses, target } = request;
    return this.#parts.attachments.attach({ target, addresses });
  }

  /** Attaches with addresses that are allocated and claimed. */
  async #attach(
    ipam: Ipam,
    { gone, holder, request, wishes }: {
      readonly gone: () => AbortSignal;
      readonly holder: string;
      readonly request: AttachRequest;
      readonly wishes: readonly AddressWish[];
    },
  ): Promise<Unnamed> {
    const { attachments } = this.#parts;
    const { shell } = ipam;
    const before = shell.lookup(holder);
    try {
      const addresses = await this.#obtain(wishes, { ipam, holder, request, gone });
      const result = attachments.attach({ target: request.target, addresses });
      this.#adopt(ipam, holder, result.attachment?.addresses ?? []);
      return result;
    } catch (thrown) {
      // Claims, too, that were answered and go on.
      const asked = wishes.flatMap((wish) => wish.kind === "address" ? [wish.cidr] : []);
      const kept = [...before, ...this.#attachedTo(holder).map((text) => parseCidr(text)!)];
      for (const ip of new Set([...shell.lookup(holder), ...asked].map((cidr) => cidr.ip))) {
        if (!kept.some((had) => had.ip === ip)) await this.#giveBack(ipam, holder, ip);
      }
      this.#adopt(ipam, holder, this.#attachedTo(holder)); // as it was, with the prefix that it had
      throw thrown;
    }
  }

  /** Takes addresses or the whole interface away; addresses of the range go back. */
  async detach({ addresses, target }: Pick<AttachRequest, "addresses" | "target">): Promise<AttachAnswer> {
    const { attachments, ipam } = this.#parts;
    const wishes = addresses.map(parseAddressWish);
    const holder = attachments.holderOf(target, { remembered: true });
    return await this.#turns.giveBack(holder, async () => {
      const has = this.#attachedTo(holder);
      const texts = wishes.flatMap((wish, i) => {
        const found = this.#addressesOf(wish, has);
        if (found.length > 0 || has.length === 0) return found;
        throw new MeshnetError(
          "attach/not-attached",
          `Cannot detach ${addresses[i]}: ${target} has no address of it`,
          { hint: `Its addresses are: ${has.join(", ")}` },
        );
      });
      const result = this.#named(holder, attachments.detach({ target, addresses: texts }));
      if (ipam === undefined) return result;
      for (const text of result.addresses) await this.#giveBack(ipam, holder, parseCidr(text)!.ip);
      return result;
    });
  }

  /** After a start: what is attached keeps its addresses, and what others held goes back. */
  reconcile(): void {
    const { attachments, ipam } = this.#parts;
    if (ipam === undefined) return;
    const all = attachments.list();
    ipam.shell.tell({ kind: "running", idents: new Set(all.map(({ target }) => target)) });
    for (const { addresses, target } of all) this.#adopt(ipam, target, addresses);
  }

  /** A target is gone for good: its addresses go back, unless it returns soon. */
  forgotten(target: string): void {
    this.#parts.names?.forgotten(target);
    this.#parts.ipam?.shell.tell({ kind: "container", ident: target, what: "died" });
  }

  /** What was attached or detached, with its names, which are answered for the addresses that it has now. */
  #named(holder: string, answer: Unnamed): AttachAnswer {
    const { names } = this.#parts;
    const { attachment } = answer;
    const warning = attachment === null ? names?.forgotten(holder) : undefined;
    if (attachment !== null) names?.attached(holder, attachment.addresses);
    const called = names?.own.namesOf(holder) ?? [];
    return { ...withWarnings(answer, [warning]), attachment: attachment && { ...attachment, names: called } };
  }

  async #obtain(
    wishes: readonly AddressWish[],
    { gone, holder: ident, ipam, request }: {
      readonly ipam: Ipam;
      readonly holder: string;
      readonly request: AttachRequest;
      readonly gone: () => AbortSignal;
    },
  ): Promise<readonly string[]> {
    const { range, shell, subnet, unused } = ipam;
    const addresses: string[] = [];
    const given: Cidr[] = [];
    const common = { ident, isContainer: true, patience: patienceOf(request, this.#parts.clock) };
    // What is set aside stays so unless it is its user who asks for it.
    const aside = new Set(unused.foundInUse().map(({ ip }) => ip));
    const askedFor = wishes.flatMap((wish) =>
      wish.kind === "address" && aside.has(wish.cidr.ip) ? [wish.cidr] : []
    );
    await this.#refuseUsed(askedFor, request, gone);
    for (const wish of wishes) {
      if (wish.kind === "address") {
        const { cidr } = wish;
        if (cidrContains(range, cidr.ip)) {
          await shell.ask({ kind: "claim", cidr, lenient: true, evenAside: true, ...common }, gone);
        }
        given.push(cidr);
        addresses.push(formatCidr(cidr));
        continue;
      }
      const event = { kind: "allocate", subnet: wish.subnet ?? subnet, ...common } as const;
      const { target } = request;
      const has = (ip: Ip) => this.#remembered(ident).some((one) => one.ip === ip);
      addresses.push(formatCidr(await unused.allocate(event, { gone, has, target, whom: target })));
    }
    await this.#refuseUsed(given, request, gone);
    return addresses;
  }

  /** Throws "attach/in-use" for the first address that somebody else uses, or that this host reaches elsewhere, unless that
   * is wanted. */
  async #refuseUsed(
    given: readonly Cidr[],
    { force, target }: Pick<AttachRequest, "force" | "target">,
    gone: () => AbortSignal,
  ): Promise<void> {
    // What is attached here to something else is refused later, by its name.
    const { attachments, users } = this.#parts;
    if (force || given.length === 0) return;
    const here = new Set(attachments.remembered().flatMap(({ addresses }) => addresses.map(({ ip }) => ip)));
    const asked = given.filter(({ ip }) => !here.has(ip));
    const range = this.#parts.ipam?.range; // its routes were looked at by the start
    const strange = asked.filter(({ ip }) => range === undefined || !cidrContains(range, ip));
    const user = await firstInUse(users, asked.map(({ ip }) => ip), { target, gone });
    if (user === undefined) return refuseRouted(strange, target, this.#parts.routes);
    const cidr = asked.find(({ ip }) => ip === user.ip)!;
    throw new MeshnetError(
      "attach/in-use",
      `Cannot attach ${formatCidr(cidr)} to ${target}: it is in use by ${user.text}`,
      { hint: "Choose another address, or attach it all the same with --force" },
    );
  }

  #addressesOf(wish: AddressWish, has: readonly string[]): readonly string[] {
    if (wish.kind === "address") return [formatCidr(wish.cidr)];
    const subnet = wish.subnet ?? this.#parts.ipam?.subnet;
    if (subnet === undefined) throw ipamOff("Cannot detach net:default", { orGive: true });
    return has.filter((text) => cidrContains(subnet, parseCidr(text)!.ip));
  }

  /** Holds what is attached already. Where nobody can say yet whose an address is, the allocator goes on by itself. */
  #adopt({ range, shell }: Ipam, holder: string, addresses: readonly string[]): void {
    const { logger } = this.#parts;
    const held = shell.lookup(holder);
    for (const text of addresses) {
      const cidr = parseCidr(text)!;
      if (!cidrContains(range, cidr.ip) || held.some(({ ip }) => ip === cidr.ip)) continue;
      shell.ask({ kind: "claim", ident: holder, cidr, isContainer: true, lenient: true, patience: FOREVER })
        .catch((thrown) => {
          logger.warn("attached-address-not-held", {
            ...{ target: holder, address: text, reason: messageOf(thrown) },
          });
        });
    }
  }

  #attachedTo(holder: string): readonly string[] {
    return this.#remembered(holder).map(formatCidr);
  }

  #remembered(holder: string): readonly Cidr[] {
    return this.#parts.attachments.remembered().find(({ target }) => target === holder)?.addresses ?? [];
  }

  /** Gives back what is held or claimed, if it is. */
  async #giveBack({ range, shell }: Ipam, ident: string, ip: Cidr["ip"]): Promise<void> {
    if (!cidrContains(range, ip)) return;
    try {
      await shell.ask({ kind: "release", ident, ip });
    } catch (thrown) { // it is free here; the disk learns of it later
      if (thrown instanceof MeshnetError && thrown.code === "ipam/not-found") return;
      this.#parts.logger.warn("address-not-released", {
        target: ident,
        address: ip,
        reason: messageOf(thrown),
      });
    }
  }
}

function withWarnings(answer: Unnamed, more: readonly (string | undefined)[]): Unnamed {
  return { ...answer, warnings: [...answer.warnings, ...more.filter((each) => each !== undefined)] };
}
