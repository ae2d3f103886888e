/** Exposing this host with addresses of the range: what is asked for is allocated first, and what is hidden goes back. */
import { type AddressWish, type Exposed, parseAddressWish } from "../../attach/mod.ts";
import type { ExposeAnswer, ExposedReport, ExposeRequest } from "../../control/address_types.ts";
import { type Cidr, cidrContains, formatCidr, type Ip } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { EXPOSE_HOLDER } from "../../core/holders.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import { type AddressUsers, firstInUse } from "./address_users.ts";
import { FOREVER, type Ipam, ipamOff, patienceOf } from "./addresses.ts";
import { type Names, namesAfter, restoreNames } from "../names/names.ts";
import { Turns } from "./turns.ts";

/** What exposing needs. */
export interface ExposingParts {
  readonly exposed: Exposed;
  /** undefined: allocation is off, and addresses have to be given. */
  readonly ipam: Ipam | undefined;
  /** undefined: names are off. */
  readonly names: Names | undefined;
  /** What hangs on the network here: nobody has an address twice. */
  readonly attached: () => readonly { readonly target: string; readonly addresses: readonly string[] }[];
  /** Finds out who uses an address already. */
  readonly users: Pick<AddressUsers, "userOf">;
  /** Why nothing behind this host is reached through it, if so: a sentence without full stop. */
  readonly limits: (masquerade: boolean) => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Serves requests, one after another. */
export class Exposing {
  readonly #parts: ExposingParts;
  readonly #turns = new Turns();

  constructor(parts: ExposingParts) {
    this.#parts = parts;
  }

  /** What is exposed, for people. */
  report(): readonly ExposedReport[] {
    return this.#parts.exposed.addresses.map(({ cidr, masquerade }) => ({
      address: formatCidr(cidr),
      masquerade,
    }));
  }

  /** Exposes this host with the addresses that are asked for. What fails leaves everything as it was. */
  expose(request: ExposeRequest, gone: () => AbortSignal): Promise<ExposeAnswer> {
    const ended = () =>
      new MeshnetError("attach/failed", "Cannot expose this host: it was hidden while it waited");
    return this.#turns.take(EXPOSE_HOLDER, async (gone) => {
      const { exposed, ipam, limits, logger } = this.#parts;
      const texts = request.addresses.length === 0 ? ["net:default"] : request.addresses;
      const wishes = texts.map(parseAddressWish);
      this.#refuseTaken(wishes);
      exposed.check(given(wishes)); // before others are asked for an address
      const before = ipam?.shell.lookup(EXPOSE_HOLDER) ?? [];
      const { names } = this.#parts;
      const called = names?.own.namesOf(EXPOSE_HOLDER) ?? [];
      const hostnames = namesAfter(names, EXPOSE_HOLDER, request.names, "this host");
      if (hostnames !== undefined) names?.own.setNames(EXPOSE_HOLDER, hostnames);
      try {
        const cidrs = await this.#obtain(wishes, texts, { request, gone });
        const warnings = exposed.check(cidrs);
        await exposed.expose(cidrs, request.masquerade);
        this.#name();
        const addresses = cidrs.map(formatCidr);
        logger.info("exposed", { addresses: addresses.join(" "), masquerade: request.masquerade });
        const all = [...warnings, ...limits(request.masquerade)];
        return { addresses, exposed: this.report(), names: this.#called(), warnings: all };
      } catch (thrown) {
        const kept = [...before, ...exposed.addresses.map(({ cidr }) => cidr)];
        for (const { ip } of [...ipam?.shell.lookup(EXPOSE_HOLDER) ?? [], ...given(wishes)]) {
          if (!kept.some((one) => one.ip === ip)) await this.#giveBack(ip);
        }
        if (hostnames !== undefined) restoreNames(this.#parts, EXPOSE_HOLDER, called);
        throw thrown;
      }
    }, { ended, gone });
  }

  /** Takes addresses away again; none: all. */
  hide(words: readonly string[]): Promise<ExposeAnswer> {
    return this.#turns.giveBack(EXPOSE_HOLDER, async () => {
      const { exposed, ipam, logger } = this.#parts;
      const present = exposed.addresses.map(({ cidr }) => cidr);
      // What is held alone came from a backup: `expose` would use it, and nobody else gets it.
      const alone = (ipam?.shell.lookup(EXPOSE_HOLDER) ?? []).filter(({ ip }) => !this.#isExposed(ip));
      const has = [...present, ...alone];
      const hidden = words.length === 0 ? has : words.flatMap((word) => {
        const found = this.#found(parseAddressWish(word), has);
        if (found.length > 0) return found;
        throw new MeshnetError(
          "attach/not-attached",
          `Cannot hide ${word}: this host is not exposed with it`,
          {
            hint: has.length === 0
              ? "This host is not exposed"
              : `It holds ${has.map(formatCidr).join(", ")}`,
          },
        );
      });
      const shown = hidden.filter(({ ip }) => this.#isExposed(ip));
      if (shown.length > 0) await exposed.hide(shown);
      this.#name();
      for (const { ip } of hidden) await this.#giveBack(ip);
      const addresses = hidden.map(formatCidr);
      if (hidden.length > 0) logger.info("hidden", { addresses: addresses.join(" ") });
      return { addresses, exposed: this.report(), names: this.#called(), warnings: [] };
    });
  }

  /** Its names are answered for the addresses that this host has now; without any it has none. */
  #name(): void {
    const { exposed, names } = this.#parts;
    const addresses = exposed.addresses.map(({ cidr }) => formatCidr(cidr));
    if (addresses.length > 0) names?.attached(EXPOSE_HOLDER, addresses);
    else names?.forgotten(EXPOSE_HOLDER);
  }

  #called(): readonly string[] {
    const { exposed, names } = this.#parts;
    return exposed.addresses.length === 0 ? [] : names?.own.calledNames(EXPOSE_HOLDER) ?? [];
  }

  /** After a start: what is exposed is held, and what was held for nothing goes back. */
  reconcile(): void {
    const { exposed, ipam, logger } = this.#parts;
    if (ipam === undefined) return;
    const has = exposed.addresses.map(({ cidr }) => cidr);
    const held = ipam.shell.lookup(EXPOSE_HOLDER);
    const left = held.filter(({ ip }) => !has.some((one) => one.ip === ip));
    for (const { ip } of left) this.#giveBack(ip).catch((thrown) => this.#notReleased(ip, thrown));
    for (const cidr of has) {
      if (!cidrContains(ipam.range, cidr.ip) || held.some(({ ip }) => ip === cidr.ip)) continue;
      const claim = { kind: "claim", ident: EXPOSE_HOLDER, cidr, isContainer: false, lenient: true } as const;
      ipam.shell.ask({ ...claim, patience: FOREVER }).catch((thrown) => {
        logger.warn("exposed-address-not-held", { address: formatCidr(cidr), reason: messageOf(thrown) });
      });
    }
  }

  async #obtain(
    wishes: readonly AddressWish[],
    texts: readonly string[],
    { gone, request }: { readonly request: ExposeRequest; readonly gone: () => AbortSignal },
  ): Promise<readonly Cidr[]> {
    const { clock, ipam } = this.#parts;
    const common = { ident: EXPOSE_HOLDER, isContainer: false, patience: patienceOf(request, clock) };
    const cidrs: Cidr[] = [];
    const asked: Cidr[] = [];
    for (const [i, wish] of wishes.entries()) {
      if (wish.kind === "address") {
        const { cidr } = wish;
        if (ipam !== undefined && cidrContains(ipam.range, cidr.ip)) {
          await ipam.shell.ask({ kind: "claim", cidr, lenient: true, ...common }, gone);
        }
        asked.push(cidr);
        cidrs.push(cidr);
        continue;
      }
      if (ipam === undefined) {
        throw ipamOff(`Cannot allocate an address of ${texts[i]} for this host`, { orGive: true });
      }
      const subnet = wish.subnet ?? ipam.subnet;
      const use = { gone, has: (ip: Ip) => this.#isExposed(ip), target: EXPOSE_HOLDER, whom: "this host" };
      cidrs.push(await ipam.unused.allocate({ kind: "allocate", subnet, ...common }, use));
    }
    await this.#refuseUsed(asked, gone);
    return cidrs;
  }

  #isExposed(ip: Ip): boolean {
    return this.#parts.exposed.addresses.some(({ cidr }) => cidr.ip === ip);
  }

  async #refuseUsed(given: readonly Cidr[], gone: () => AbortSignal): Promise<void> {
    const asked = given.filter(({ ip }) => !this.#isExposed(ip));
    const ips = asked.map(({ ip }) => ip);
    const user = await firstInUse(this.#parts.users, ips, { target: EXPOSE_HOLDER, gone });
    if (user === undefined) return;
    const cidr = asked.find(({ ip }) => ip === user.ip)!;
    throw new MeshnetError(
      "attach/in-use",
      `Cannot expose ${formatCidr(cidr)}: it is in use by ${user.text}`,
      {
        hint: "Choose another address",
      },
    );
  }

  #found(wish: AddressWish, has: readonly Cidr[]): readonly Cidr[] {
    if (wish.kind === "address") {
      return has.filter(({ ip, prefix }) => ip === wish.cidr.ip && prefix === wish.cidr.prefix);
    }
    const subnet = wish.subnet ?? this.#parts.ipam?.subnet;
    if (subnet === undefined) throw ipamOff("Cannot hide net:default", { orGive: true });
    return has.filter(({ ip }) => cidrContains(subnet, ip));
  }

  #refuseTaken(wishes: readonly AddressWish[]): void {
    for (const { ip, prefix } of given(wishes)) {
      const holder = this.#parts.attached().find(({ addresses }) =>
        addresses.some((text) => text.split("/")[0] === ip)
      );
      if (holder === undefined) continue;
      throw new MeshnetError(
        "attach/bad-address",
        `Cannot expose ${ip}/${prefix}: ${holder.target} has this address`,
        { hint: "Choose an address that nobody has" },
      );
    }
  }

  async #giveBack(ip: Cidr["ip"]): Promise<void> {
    const { ipam } = this.#parts;
    if (ipam === undefined || !cidrContains(ipam.range, ip)) return;
    try {
      await ipam.shell.ask({ kind: "release", ident: EXPOSE_HOLDER, ip });
    } catch (thrown) {
      if (thrown instanceof MeshnetError && thrown.code === "ipam/not-found") return;
      this.#notReleased(ip, thrown);
    }
  }

  #notReleased(ip: Ip, thrown: unknown): void {
    const fields = { target: EXPOSE_HOLDER, address: ip, reason: messageOf(thrown) };
    this.#parts.logger.warn("address-not-released", fields);
  }
}

function given(wishes: readonly AddressWish[]): readonly Cidr[] {
  return wishes.flatMap((wish) => wish.kind === "address" ? [wish.cidr] : []);
}
