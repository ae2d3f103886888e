/** What an engine was given and did not give back, as it could not reach meshnet, or lost what it knew: found and removed. */
import type { NetworkUse } from "../../docker/engine_api.ts";
import type { EngineAddress, EngineAddresses } from "./engine_addresses.ts";
import { type EngineEndpoints, outerInterface } from "../../attach/mod.ts";
import type { Faults } from "../../core/faults.ts";
import type { Logger } from "../../core/ports.ts";

/** What is unused for so long has been left, in milliseconds: an engine asks for an address some time before it uses it. */
const UNUSED_MS = 60_000;

/** What it is made of. */
export interface LeftoversParts {
  readonly addresses: Pick<EngineAddresses, "held" | "release">;
  readonly endpoints: Pick<EngineEndpoints, "outerNames" | "removeOuter">;
  /** What the engine's networks use; undefined: it cannot be asked. */
  readonly use: () => Promise<NetworkUse | undefined>;
  readonly faults: Pick<Faults, "guard">;
  readonly logger: Logger;
}

/** Looks once after each time that the engine was found. */
export class EngineLeftovers implements Disposable {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly parts: LeftoversParts) {}

  /** The engine was found: what it does not use in a while, and has had since now, is removed then. */
  lookLater(): void {
    this[Symbol.dispose]();
    const { addresses, endpoints, faults } = this.parts;
    const before = { addresses: addresses.held(), outer: endpoints.outerNames() };
    if (before.addresses.length + before.outer.length === 0) return;
    const look = faults.guard("look for what an engine has left", () => this.look(before));
    this.#timer = setTimeout(look, UNUSED_MS);
  }

  /** Removes of what there was before, and still is, what nobody uses. */
  async look(
    before: { readonly addresses: readonly EngineAddress[]; readonly outer: readonly string[] },
  ): Promise<void> {
    const { addresses, endpoints, logger, use: ask } = this.parts;
    const use = await ask();
    if (use === undefined) return; // found again later, it is looked at again
    for (const { ident, ip } of before.addresses) {
      const isHeld = addresses.held().some((one) => one.ident === ident && one.ip === ip); // by now
      if (use.addresses.has(ip) || !isHeld) continue;
      await addresses.release(ip);
      logger.info("address of an engine given back", {
        address: ip,
        reason: "no container of it has the address",
      });
    }
    const used = new Set([...use.endpoints].map(outerInterface));
    const present = endpoints.outerNames();
    for (const outer of before.outer) {
      if (used.has(outer) || !present.includes(outer)) continue;
      endpoints.removeOuter(outer);
      logger.info("interface of an engine removed", {
        interface: outer,
        reason: "no container of it has it",
      });
    }
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
