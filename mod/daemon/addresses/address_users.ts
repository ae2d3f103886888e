/** Finds out who uses an address already, before somebody gets it: this host itself, or whoever in the network answers. */
import { formatMac, type Ip, isIpv4, type Mac } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { AddressUse } from "../../overlay/ports/dataplane_types.ts";

/** An answer takes at least this long to count as late, in milliseconds: question and answer pass user space on both
 * hosts, which may be busy. */
const LEAST_MS = 100;
/** So many round trips to the farthest host are added. */
const ROUND_TRIPS = 2;
/** Nobody waits longer than this to attach something. */
const MOST_MS = 500;
/** A wait that ends so many milliseconds late tells that this host is busy. */
const LATE_MS = 20;
/** Answers to a busy host have so many times as long again as its wait was late. */
const LATE_TIMES = 5;
/** So many addresses are asked for at once: their answers all pass user space. */
const AT_ONCE = 64;

/** How long answers may take, given the round trips to other hosts in milliseconds. */
export function probePatience(roundTrips: readonly (number | undefined)[]): number {
  const farthest = Math.max(0, ...roundTrips.map((ms) => ms ?? 0));
  return Math.min(MOST_MS, Math.round(LEAST_MS + ROUND_TRIPS * farthest));
}

/** Who uses an address. */
export interface AddressUser {
  /** The address. */
  readonly ip: Ip;
  /** Who answers for it; null: this host itself has it. */
  readonly mac: string | null;
  /** Nickname or name of the host that it is on; null: not known. */
  readonly host: string | null;
  /** Who that is, as a sentence names it. */
  readonly text: string;
  /** What is attached here that uses it; undefined: somebody else does. */
  readonly target?: string | undefined;
}

/** The first of these addresses that is in use, with who uses it. Throws once nobody waits for it any more. */
export async function firstInUse(
  users: Pick<AddressUsers, "userOf">,
  ips: readonly Ip[],
  { gone, target }: { readonly target: string; readonly gone: () => AbortSignal },
): Promise<AddressUser | undefined> {
  for (let at = 0; at < ips.length; at += AT_ONCE) {
    if (at > 0) gone().throwIfAborted();
    const found = await Promise.all(ips.slice(at, at + AT_ONCE).map((ip) => users.userOf(ip, target)));
    const user = found.find((one) => one !== undefined);
    if (user !== undefined) return user;
  }
  return undefined;
}

/** Who uses an address, and after how many milliseconds that was known. */
export interface TimedUse extends AddressUse {
  readonly ms: number;
}

/** What is needed to find out. */
export interface AddressUsersParts {
  /** Asks everybody. */
  readonly ask: (ip: Ip) => void;
  /** The interface of this host that has an address, if one has. */
  readonly interfaceWith: (ip: Ip) => string | undefined;
  /** What the network's interface in a target has already. */
  readonly presentAddresses: (target: string) => readonly Ip[];
  /** What has a MAC address in the network on this host. */
  readonly named: (mac: Mac) => string | undefined;
  /** Nickname of this host. */
  readonly nickname: string;
  /** Nickname of another host, or its name. */
  readonly hostName: (peer: PeerName) => string;
  /** How long to wait for answers; undefined: there is nobody who could answer. */
  readonly patience: () => number | undefined;
  /** The time, in milliseconds. */
  readonly now: () => number;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
}

/** Asks, and takes answers. */
export class AddressUsers {
  readonly #parts: AddressUsersParts;
  readonly #asked = new Map<
    Ip,
    { readonly use: Promise<AddressUse | undefined>; answer(use?: AddressUse): void }
  >();

  /** Who wants all answers about an address, not only the first. */
  readonly #surveys = new Map<Ip, Set<(use: AddressUse) => void>>();

  constructor(parts: AddressUsersParts) {
    this.#parts = parts;
  }

  /** Somebody answered. */
  heard(use: AddressUse): void {
    for (const take of this.#surveys.get(use.ip) ?? []) take(use);
    this.#asked.get(use.ip)?.answer(use);
  }

  /** Who uses an address that `target` is to get; undefined: nobody as far as one can see, or the target itself. */
  async userOf(ip: Ip, target: string): Promise<AddressUser | undefined> {
    const { interfaceWith, nickname, presentAddresses } = this.#parts;
    const own = interfaceWith(ip);
    if (own !== undefined) {
      return { ip, mac: null, host: nickname, text: `this host, on its interface ${own}` };
    }
    const use = isIpv4(ip) ? await this.#ask(ip) : undefined;
    if (use === undefined || use.here && presentAddresses(target).includes(ip)) return undefined;
    return this.#userOf(use);
  }

  /** Everybody who answers for an address, as far as one can see: each once. As long as nobody does it is asked anew, up to
   * `times`. */
  async all(ip: Ip, { times = 1 } = {}): Promise<readonly TimedUse[]> {
    const found = new Map<string, TimedUse>();
    const { now } = this.#parts;
    const began = now();
    const take = (use: AddressUse) => {
      const key = `${use.mac} ${use.peer}`;
      if (!found.has(key)) found.set(key, { ...use, ms: Math.round((now() - began) * 1000) / 1000 });
    };
    const surveys = this.#surveys.get(ip) ?? new Set();
    this.#surveys.set(ip, surveys.add(take));
    try {
      for (let asked = 0; asked < times && found.size === 0; asked++) await this.#survey(ip);
    } finally {
      surveys.delete(take);
      if (surveys.size === 0) this.#surveys.delete(ip);
    }
    return [...found.values()];
  }

  /** Asks twice, and waits for as long as answers may take. */
  async #survey(ip: Ip): Promise<void> {
    const { ask, later, patience } = this.#parts;
    const ms = patience();
    if (ms === undefined || !isIpv4(ip)) return;
    ask(ip);
    await new Promise<void>((resolve) => {
      later(ms / 2, () => ask(ip));
      later(ms, resolve);
    });
  }

  #userOf(use: AddressUse): AddressUser {
    const { hostName, named, nickname } = this.#parts;
    const { ip } = use;
    const mac = formatMac(use.mac);
    if (!use.here) {
      const host = use.peer === undefined ? null : hostName(use.peer);
      return { ip, mac, host, text: host === null ? mac : `${mac} on ${host}` };
    }
    const known = named(use.mac);
    return {
      ip,
      mac,
      host: nickname,
      text: `${known === undefined ? mac : `${known} (${mac})`} on this host`,
      ...known === undefined ? {} : { target: known },
    };
  }

  /** Asks twice, as one question may be lost. */
  #ask(ip: Ip): Promise<AddressUse | undefined> {
    const { ask, later, now, patience } = this.#parts;
    const before = this.#asked.get(ip);
    if (before !== undefined) return before.use;
    const ms = patience();
    if (ms === undefined) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<AddressUse | undefined>();
    const question = {
      use: promise,
      answer: (use?: AddressUse) => {
        if (this.#asked.get(ip) === question) this.#asked.delete(ip);
        resolve(use);
      },
    };
    this.#asked.set(ip, question);
    const began = now();
    ask(ip);
    later(ms / 2, () => this.#asked.get(ip) === question && ask(ip));
    later(ms, () => {
      const late = now() - began - ms;
      if (late < LATE_MS) question.answer();
      else later(Math.min(MOST_MS, LATE_TIMES * late), () => question.answer());
    });
    return promise;
  }
}
