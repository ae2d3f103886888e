/** Addresses that a container engine gives to its containers itself. Each is held under a name of its own, as the engine does
 * not say for whom it is. */
import type { Cidr, Ip } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { ENGINE_PREFIX } from "../../core/holders.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { after } from "../../core/time.ts";
import type { Ipam } from "../addresses/addresses.ts";

/** The engine waits so long for an address, in milliseconds: whoever starts a container sees why it failed. */
const PATIENCE_MS = 20_000;

/** Addresses that the engine has given out already are waited for without end. */
const FOREVER = { until: Infinity, noWait: false };

/** An address that is given out. The holder is another one each time. */
export interface EngineAddress {
  readonly ident: string;
  readonly ip: Ip;
}

/** Gives addresses out and takes them back. */
export class EngineAddresses {
  /** Addresses that are asked for and not held yet. */
  readonly #adopted = new Map<Ip, { readonly held: Promise<void>; readonly ending: AbortController }>();

  constructor(
    readonly parts: { readonly ipam: Ipam; readonly clock: Clock; readonly random: Pick<Random, "bytes"> },
  ) {}

  /** An address of a subnet. */
  async allocate(subnet: Cidr, gone: () => AbortSignal): Promise<Cidr> {
    const answer = await this.parts.ipam.shell.ask({ kind: "allocate", subnet, ...this.#common() }, gone);
    if (answer.kind !== "address") throw new TypeError(`An allocation was answered with ${answer.kind}`);
    return answer.cidr;
  }

  /** This address. Throws where somebody has it. */
  async claim(cidr: Cidr, gone: () => AbortSignal): Promise<void> {
    await this.parts.ipam.shell.ask({ kind: "claim", cidr, lenient: false, ...this.#common() }, gone);
  }

  /** Holds an address that the engine has given to a container without us. Waits until this host owns it; throws where
   * somebody else has it. */
  adopt(cidr: Cidr): Promise<void> {
    const { ip } = cidr;
    if (this.holds(ip)) return Promise.resolve();
    const before = this.#adopted.get(ip);
    if (before !== undefined) return before.held;
    const ending = new AbortController();
    const { ident } = this.#common();
    const common = { ident, isContainer: false, patience: FOREVER };
    // A host that was reset hears of the range from others; to share it out by itself would split the network.
    const claim = { kind: "claim", cidr, lenient: false, quiet: true, ...common } as const;
    const held = this.parts.ipam.shell.ask(claim, () => ending.signal).then(() => {})
      .finally(() => this.#adopted.delete(ip));
    this.#adopted.set(ip, { held, ending });
    return held;
  }

  /** Whether an address is given out. */
  holds(ip: Ip): boolean {
    return this.held().some((one) => one.ip === ip);
  }

  /** All that are given out. */
  held(): readonly EngineAddress[] {
    return this.parts.ipam.shell.status().held.flatMap(({ cidrs, ident }) =>
      ident.startsWith(ENGINE_PREFIX) ? cidrs.map(({ ip }) => ({ ident, ip })) : []
    );
  }

  /** Takes an address back; what nobody has, or what is held in another way, stays as it is. */
  async release(ip: Ip): Promise<void> {
    const { shell } = this.parts.ipam;
    this.#adopted.get(ip)?.ending.abort();
    const holder = this.held().find((one) => one.ip === ip);
    if (holder === undefined) return;
    try {
      await shell.ask({ kind: "release", ident: holder.ident, ip });
    } catch (thrown) {
      if (!(thrown instanceof MeshnetError) || thrown.code !== "ipam/not-found") throw thrown;
    }
  }

  #common() {
    const { clock, random } = this.parts;
    const ident = ENGINE_PREFIX + random.bytes(6).toHex();
    const patience = { until: after(clock.now(), PATIENCE_MS), noWait: false };
    return { ident, isContainer: false, patience };
  }
}
