/** Allocating addresses that nobody uses: those that somebody uses without having asked are set aside, and told. */
import type { Cidr, Ip } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { AllocatorShell, IpamRequest } from "../../ipam/allocator_shell.ts";
import { ASIDE } from "../../ipam/owned.ts";
import type { AllocatorStatus } from "../../ipam/status.ts";
import type { AddressUser, AddressUsers } from "./address_users.ts";

/** An address that somebody uses who did not ask for it is given to nobody for so long, in milliseconds. Then it is tried
 * again. */
const ASIDE_MS = 600_000;
/** After so many addresses that are all in use no other one is tried: somebody answers for every address. */
const MOST_TRIED = 8;

/** What is needed for that. */
export interface UnusedAddressesParts {
  readonly shell: Pick<AllocatorShell, "ask" | "status">;
  readonly users: Pick<AddressUsers, "userOf">;
  readonly logger: Pick<Logger, "warn">;
}

/** For whom an address is. */
export interface AddressFor {
  /** As a sentence names it. */
  readonly whom: string;
  /** As `AddressUsers.userOf()` knows it. */
  readonly target: string;
  /** Whether it has an address already. */
  readonly has: (ip: Ip) => boolean;
  /** What ends the wait. */
  readonly gone: () => AbortSignal;
}

/** Allocates, and remembers who uses what is set aside. */
export class UnusedAddresses {
  readonly #parts: UnusedAddressesParts;
  readonly #foundInUse = new Map<Ip, AddressUser>();

  constructor(parts: UnusedAddressesParts) {
    this.#parts = parts;
  }

  /** An address that nobody uses. Throws "attach/in-use" where all that are tried are in use. */
  async allocate(
    event: Extract<IpamRequest, { kind: "allocate" }>,
    { gone, has, target, whom }: AddressFor,
  ): Promise<Cidr> {
    const { logger, shell, users } = this.#parts;
    const tried: AddressUser[] = [];
    for (let tries = 0; tries < MOST_TRIED; tries++) {
      const answer = await shell.ask(event, gone);
      if (answer.kind !== "address") throw new TypeError(`An allocation was answered with ${answer.kind}`);
      const { cidr } = answer;
      const user = has(cidr.ip) ? undefined : await users.userOf(cidr.ip, target);
      if (user === undefined) return cidr;
      await shell.ask({ kind: "set-aside", ident: event.ident, ip: cidr.ip, forMs: ASIDE_MS });
      this.#foundInUse.set(cidr.ip, user);
      logger.warn("address-in-use", { address: cidr.ip, by: user.text });
      tried.push(user);
    }
    await this.#giveBack(tried);
    const last = tried.at(-1)!;
    throw new MeshnetError(
      "attach/in-use",
      `Cannot allocate an address for ${whom}: ${MOST_TRIED} in a row are in use, the last one, ` +
        `${last.ip}, by ${last.text}`,
      { hint: "Somebody may answer for every address (proxy_arp): look there, or give an address yourself" },
    );
  }

  /** If one answers for all of these, it would do so for any others: they are not kept from those who ask later. One stays
   * aside, for status to name. */
  async #giveBack(tried: readonly AddressUser[]): Promise<void> {
    const { logger, shell } = this.#parts;
    const [{ mac }] = tried as [AddressUser];
    if (mac === null || tried.some((user) => user.mac !== mac)) return;
    const ips = new Set(tried.map(({ ip }) => ip));
    const isNamed = this.foundInUse().some((user) => user.mac === mac && !ips.has(user.ip));
    for (const { ip } of isNamed ? tried : tried.slice(1)) {
      try {
        await shell.ask({ kind: "release", ident: ASIDE, ip });
        this.#foundInUse.delete(ip);
      } catch (thrown) { // it goes back when its time is over
        logger.warn("address-not-released", { address: ip, reason: messageOf(thrown) });
      }
    }
  }

  /** Who uses addresses that are set aside, as of a status of the allocator. */
  foundInUse(
    { aside }: Pick<AllocatorStatus, "aside"> = this.#parts.shell.status(),
  ): readonly AddressUser[] {
    for (const ip of this.#foundInUse.keys()) {
      if (!aside.some((cidr) => cidr.ip === ip)) this.#foundInUse.delete(ip);
    }
    return [...this.#foundInUse.values()];
  }
}
