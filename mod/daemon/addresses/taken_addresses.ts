/** Notices an address that two use: one that somebody took by himself while another has it, here or on another host.
 *
 * The kernel tells of addresses that come to interfaces of containers here. Each of the range is then looked for, up to
 * three times where it is not clear, and who answers is compared with who was given it. A host that finds an address in
 * use twice tells the other hosts concerned to look as well, and looks again from time to time until it is over. */
import type { Problem } from "../../control/api_types.ts";
import { type Cidr, cidrContains, formatMac, type Ip, isIpv4, type Mac } from "../../core/addr.ts";
import type { Faults } from "../../core/faults.ts";
import type { PeerName } from "../../core/names.ts";
import type { Logger } from "../../core/ports.ts";
import type { HopEnd } from "../../doctor/hop_messages.ts";
import type { AddressUsers } from "./address_users.ts";
import { type AddressSide, sidesText, wayOut } from "./sides.ts";

/** An address that has come is looked at so much later, in milliseconds: whoever starts a container is not kept waiting,
 * and who leaves has left. */
const SOON_MS = 1_500;
/** What is in use twice is looked at again after this long, in milliseconds. */
const AGAIN_MS = 15_000;
/** Looks at an address until it counts as well, where nobody could be seen who was given it, or another host says that it
 * is in use twice: questions and answers may be lost. */
const LOOKS = 3;
/** Looks in a row that must find nothing, until what was in use twice is so no longer. */
const MISSES = 2;
/** Addresses that are asked for at once. */
const AT_ONCE = 16;
/** Addresses that wait to be asked for; more are not looked at. */
const MOST_WAITING = 512;
/** Addresses in use twice that are remembered. */
const MOST_FOUND = 64;
/** Own addresses that a person has asked for at a time: each question goes to every host. */
const MOST_OWN = 256;

/** Somebody in the network on this host. */
export interface UserHere {
  /** As `ps` calls it. */
  readonly target: string;
  /** What people call it, where that differs. */
  readonly name: string | null;
  readonly mac: Mac | undefined;
  /** What it was given. */
  readonly ips: readonly Ip[];
}

/** An address that is to be asked for. */
interface Waiting {
  /** How often at most. */
  readonly left: number;
  /** Whether another host says that it is in use twice. */
  readonly isTold: boolean;
}

/** What is needed. */
export interface TakenAddressesParts {
  readonly users: Pick<AddressUsers, "all">;
  /** undefined: no addresses are given out, and none is looked at by itself. */
  readonly range: Cidr | undefined;
  /** Everybody in the network on this host. */
  readonly here: () => readonly UserHere[];
  /** The host that owns an address of the range. */
  readonly ownerOf: (ip: Ip) => PeerName | undefined;
  readonly self: PeerName;
  readonly nickname: string;
  readonly hostName: (peer: PeerName) => string;
  /** Asks a host who has a MAC address there; if nobody, to whom it gave the IP address. null: it knows of neither; undefined:
   * it cannot be asked. */
  readonly askAt: (peer: PeerName, ip: Ip, mac: Mac) => Promise<HopEnd | null | undefined>;
  /** Has another host look at an address. */
  readonly tell: (peer: PeerName, ip: Ip) => void;
  readonly later: (ms: number, work: () => void) => void;
  readonly faults: Pick<Faults, "later">;
  readonly logger: Pick<Logger, "info" | "warn">;
}

/** See the file. */
export class TakenAddresses {
  readonly #parts: TakenAddressesParts;
  readonly #waiting = new Map<Ip, Waiting>();
  /** What was found, and how often in a row it was not found again. */
  readonly #found = new Map<Ip, { readonly problem: Problem; missed: number }>();
  #looks = false;
  #looksAgain = false;

  constructor(parts: TakenAddressesParts) {
    this.#parts = parts;
  }

  /** These came to interfaces here. */
  appeared(ips: readonly Ip[]): void {
    this.#wait(ips, { left: LOOKS, isTold: false });
  }

  /** Another host says that somebody took this address. */
  told(ip: Ip): void {
    this.#wait([ip], { left: LOOKS, isTold: true });
  }

  /** What is in use twice, with what to do. */
  problems(): readonly Problem[] {
    return [...this.#found.values()].map(({ problem }) => problem);
  }

  /** Looks at all addresses of containers here, and at what was found before: then problems() is as of now. */
  async lookAtOwn(): Promise<void> {
    const own = this.#parts.here().flatMap(({ ips }) => ips).filter(isIpv4);
    const ips = [...new Set([...this.#found.keys(), ...own])].slice(0, MOST_OWN);
    for (let at = 0; at < ips.length; at += AT_ONCE) {
      await Promise.all(
        ips.slice(at, at + AT_ONCE).map(async (ip) => {
          do await this.#look(ip); while ((this.#found.get(ip)?.missed ?? 0) > 0);
        }),
      );
    }
  }

  #wait(ips: readonly Ip[], how: Waiting): void {
    const { range } = this.#parts;
    if (range === undefined) return;
    for (const ip of ips) {
      if (!isIpv4(ip) || !cidrContains(range, ip) || this.#waiting.size >= MOST_WAITING) continue;
      this.#waiting.set(ip, how);
    }
    this.#lookSoon();
  }

  #lookSoon(): void {
    const { faults, later } = this.#parts;
    if (this.#looks || this.#waiting.size === 0) return;
    this.#looks = true;
    later(SOON_MS, () => faults.later("look who uses addresses", this.#lookAtWaiting()));
  }

  async #lookAtWaiting(): Promise<void> {
    const again: [Ip, Waiting][] = [];
    try {
      while (this.#waiting.size > 0) {
        const some = [...this.#waiting].slice(0, AT_ONCE);
        for (const [ip] of some) this.#waiting.delete(ip);
        await Promise.all(some.map(async ([ip, { isTold, left }]) => {
          const found = await this.#look(ip);
          const isOpen = found === "unclear" || found === "well" && isTold;
          if (isOpen && left > 1) again.push([ip, { isTold, left: left - 1 }]);
        }));
      }
    } finally {
      this.#looks = false;
      for (const [ip, how] of again) this.#wait([ip], how);
      this.#lookSoon(); // at the rest, where a look has failed
    }
  }

  #lookAgain(): void {
    const { faults, later } = this.#parts;
    if (this.#looksAgain || this.#found.size === 0) return;
    this.#looksAgain = true;
    later(AGAIN_MS, () => {
      this.#looksAgain = false;
      const looking = Promise.all([...this.#found.keys()].map((ip) => this.#look(ip)));
      faults.later("look whether addresses are still in use twice", looking.finally(() => this.#lookAgain()));
    });
  }

  /** Asks who uses an address, and takes note of it. Gives what is wrong. */
  async #look(ip: Ip): Promise<Problem | "unclear" | "well"> {
    const { logger, self, tell } = this.#parts;
    const sides = await this.#sidesOf(ip);
    const before = this.#found.get(ip);
    if (sides.length < 2) {
      if (before !== undefined && ++before.missed >= MISSES) {
        this.#found.delete(ip);
        logger.info("address-in-use-once", { address: ip });
      }
      return sides[0]?.isGiven === true ? "well" : "unclear";
    }
    if (before === undefined && this.#found.size >= MOST_FOUND) return "unclear";
    const by = sidesText(sides);
    const problem = { message: `${ip} is in use twice: by ${by}`, hint: wayOut(ip, sides) };
    this.#found.set(ip, { problem, missed: 0 });
    this.#lookAgain();
    if (before !== undefined) return problem;
    logger.warn("address-in-use-twice", { address: ip, by });
    const concerned = new Set(sides.map(({ peer }) => peer ?? self).concat(this.#parts.ownerOf(ip) ?? []));
    for (const peer of concerned) if (peer !== self) tell(peer, ip);
    return problem;
  }

  /** Everybody who uses an address: each container once, and another host that cannot tell its containers apart once. */
  async #sidesOf(ip: Ip): Promise<readonly AddressSide[]> {
    const { askAt, here, hostName, nickname, users } = this.#parts;
    const uses = await users.all(ip);
    if (uses.length === 0) return [];
    const all = here();
    const sides = new Map<string, AddressSide>();
    for (const use of uses.filter((one) => one.here)) {
      const user = all.find(({ mac }) => mac === use.mac);
      const mac = formatMac(use.mac);
      const wasGiven = user && isGiven(all, user, ip);
      const key = user?.target ?? mac;
      if (!sides.has(key)) {
        sides.set(key, { host: nickname, peer: undefined, ...namesOf(user), mac, isGiven: wasGiven });
      }
    }
    for (const { mac, peer } of uses.filter((one) => !one.here)) {
      const end = peer === undefined ? undefined : await askAt(peer, ip, mac);
      const text = formatMac(mac);
      const isThere = end?.mac === text;
      const isGiven = isThere ? end?.problem !== NOT_GIVEN : undefined;
      const host = peer === undefined ? undefined : hostName(peer);
      const key = `${peer} ${isThere ? end!.target : ""}`;
      if (!sides.has(key)) {
        sides.set(key, { host, peer, ...namesOf(isThere ? end! : undefined), mac: text, isGiven });
      }
    }
    const found = [...sides.values()];
    return found.length > 1 ? found : [...found, ...await this.#silentSides(ip, { found, all })];
  }

  /** One alone answers: who else was given the address, here or by the host that owns it. */
  async #silentSides(
    ip: Ip,
    { all, found }: { readonly found: readonly AddressSide[]; readonly all: readonly UserHere[] },
  ): Promise<readonly AddressSide[]> {
    const { askAt, hostName, nickname, ownerOf, self } = this.#parts;
    const [only] = found;
    if (only === undefined || only.isGiven === true) return [];
    // Whoever answers here from a MAC address of nobody may be a holder whose MAC address is not known.
    const isUnknown = only.host !== undefined && only.peer === undefined && only.target === undefined;
    const user = all.find(({ ips, mac }) => ips.includes(ip) && !(isUnknown && mac === undefined));
    if (user !== undefined) {
      return [{ host: nickname, peer: undefined, ...namesOf(user), mac: undefined, isGiven: true }];
    }
    const owner = ownerOf(ip);
    if (owner === undefined || owner === self || owner === only.peer) return [];
    const end = await askAt(owner, ip, 0 as Mac);
    if (end === undefined || end === null) return [];
    return [{ host: hostName(owner), peer: owner, ...namesOf(end), mac: undefined, isGiven: true }];
  }
}

/** What a host says of somebody who uses an address that he was not given. */
export const NOT_GIVEN = "it was not given this address";

/** A host's answer to that question: who has the MAC address; if nobody, to whom the IP address was given. */
export function endAt(all: readonly UserHere[], ip: Ip, mac: Mac): HopEnd | undefined {
  const user = all.find((one) => one.mac === mac) ?? all.find(({ ips }) => ips.includes(ip));
  if (user === undefined) return undefined;
  return {
    ...{ target: user.target, name: user.name },
    mac: user.mac === undefined ? null : formatMac(user.mac),
    problem: isGiven(all, user, ip) ? null : NOT_GIVEN,
  };
}

/** Whether an address was given to whoever this is, at any of his interfaces. */
function isGiven(all: readonly UserHere[], { target }: UserHere, ip: Ip): boolean {
  return all.some((one) => one.target === target && one.ips.includes(ip));
}

function namesOf(user: Pick<UserHere, "name" | "target"> | undefined): Pick<AddressSide, "name" | "target"> {
  return { target: user?.target, name: user?.name ?? undefined };
}
