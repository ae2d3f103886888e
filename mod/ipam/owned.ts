/** Which container has which addresses. */
import { type Cidr, formatCidr, type Ip, parseCidr } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";

/** The addresses of one holder. */
export interface Holding {
  /** Whether they go back when the container of this name is gone. */
  readonly isContainer: boolean;
  /** In the order in which they were given. */
  readonly cidrs: readonly Cidr[];
}

/** Stands for "no container": such an address is filed under itself. */
export const NOBODY = "_";

/** Holds what is set aside: addresses that somebody uses who did not ask for them. No name of a person's has blanks. */
export const ASIDE = "set aside";

/** Holders (container ids, names of targets, `weave:expose`) and what they hold; no address is held twice. */
export class Owned {
  readonly #byIdent = new Map<string, Holding>();
  readonly #byIp = new Map<Ip, string>();

  /** Holders and what they hold. */
  get all(): ReadonlyMap<string, Holding> {
    return this.#byIdent;
  }

  /** What a holder has. */
  of(ident: string): readonly Cidr[] {
    return this.#byIdent.get(ident)?.cidrs ?? [];
  }

  /** Who has an address. */
  holderOf(ip: Ip): string | undefined {
    return this.#byIp.get(ip);
  }

  /** Records an address that nobody has; returns the holder it is filed under. */
  add(ident: string, cidr: Cidr, isContainer: boolean): string {
    const holder = ident === NOBODY ? cidr.ip : ident;
    const before = this.#byIdent.get(holder);
    const cidrs = [...before?.cidrs ?? [], cidr];
    this.#byIdent.set(holder, { isContainer: before?.isContainer ?? isContainer, cidrs });
    this.#byIp.set(cidr.ip, holder);
    return holder;
  }

  /** Strikes one address of a holder; undefined when it does not have it. */
  remove(ident: string, ip: Ip): Cidr | undefined {
    const holding = this.#byIdent.get(ident);
    const cidr = holding?.cidrs.find((each) => each.ip === ip);
    if (holding === undefined || cidr === undefined) return undefined;
    const cidrs = holding.cidrs.filter((each) => each !== cidr);
    if (cidrs.length > 0) this.#byIdent.set(ident, { ...holding, cidrs });
    else this.#byIdent.delete(ident);
    this.#byIp.delete(ip);
    return cidr;
  }

  /** Strikes a holder with all that it has. */
  removeAll(ident: string): readonly Cidr[] {
    const cidrs = this.of(ident);
    for (const { ip } of cidrs) this.#byIp.delete(ip);
    this.#byIdent.delete(ident);
    return cidrs;
  }

  /** What is kept of a holder. */
  record(ident: string): string | undefined {
    const holding = this.#byIdent.get(ident);
    if (holding === undefined) return undefined;
    return JSON.stringify({ isContainer: holding.isContainer, cidrs: holding.cidrs.map(formatCidr) });
  }

  /** Takes a holder from what was kept of it. */
  restore(ident: string, record: unknown): Decoded<undefined> {
    const { isContainer, cidrs } = (record ?? {}) as { isContainer?: unknown; cidrs?: unknown };
    if (typeof isContainer !== "boolean" || !Array.isArray(cidrs) || cidrs.length === 0) {
      return bad(`addresses of ${ident} are unreadable`);
    }
    const parsed: Cidr[] = [];
    for (const text of cidrs) {
      const cidr = typeof text === "string" ? parseCidr(text) : undefined;
      if (cidr === undefined) return bad(`addresses of ${ident} are unreadable: ${text}`);
      const holder = parsed.some(({ ip }) => ip === cidr.ip) ? ident : this.holderOf(cidr.ip);
      if (holder !== undefined) return bad(`address ${cidr.ip} is recorded for both ${holder} and ${ident}`);
      parsed.push(cidr);
    }
    for (const cidr of parsed) this.add(ident, cidr, isContainer);
    return good(undefined);
  }
}
