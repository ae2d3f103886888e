/** Which containers the engine has in our networks. It is asked whenever it is found again. After a reset it knows more than
 * this host: then the containers' addresses are held again, and those whose interface has gone get it again. */
import type { LostEndpoint } from "../../attach/mod.ts";
import type { Problem } from "../../control/api_types.ts";
import { formatCidr, type Ip } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Faults } from "../../core/faults.ts";
import type { Logger } from "../../core/ports.ts";
import type { EnginePlace } from "../../docker/engine_api.ts";
import type { EngineAddresses } from "./engine_addresses.ts";

/** An engine that asks for an address waits no longer than this until it is known which are in use, in milliseconds. */
const READY_MS = 2_000;
/** Interfaces that have gone are asked about so much later, in milliseconds: where the engine ends a container it removes the
 * interface first, and by then it knows of the container's end. */
const SOON_MS = 500;
/** An address that another one has is asked for again after this long, in milliseconds; each time after twice as long. */
const TRY_AGAIN_MS = { least: 30_000, most: 600_000 } as const;
/** Places that are known. */
const MAX_PLACES = 10_000;
/** Problems that are told one by one. */
const MAX_PROBLEMS = 20;

/** What it is made of. */
export interface EnginePlacesParts {
  /** undefined: this host gives out no addresses. */
  readonly addresses: Pick<EngineAddresses, "adopt" | "held" | "holds"> | undefined;
  /** Says of endpoints whether there is the pair of each, from one look at all. */
  readonly lookAtPairs: () => (endpoint: string) => boolean;
  /** Gives a container its interface again. */
  readonly mend: (lost: LostEndpoint) => void;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
  readonly faults: Pick<Faults, "later">;
  readonly logger: Logger;
}

/** What the engine is asked. */
export interface PlacesEngine {
  /** Who is in our networks; undefined: it cannot be asked. */
  readonly places: () => Promise<readonly EnginePlace[] | undefined>;
  /** Where the namespace of a running container is that has this endpoint; undefined: none is known. */
  readonly namespaceOf: (container: string, endpoint: string) => string | undefined;
  /** Something has changed about a container. */
  readonly changed: (container: string) => void;
}

/** See the file. */
export class EnginePlaces {
  readonly #parts: EnginePlacesParts;
  readonly #places = new Map<string, EnginePlace>();
  /** How often the engine is being asked now, and endpoints that left meanwhile. */
  #asking = 0;
  readonly #left = new Set<string>();
  /** How often the engine has been asked, and which time the latest answer is of. */
  #asked = 0;
  #answered = 0;
  /** Why an address is not held, by endpoint. */
  readonly #refused = new Map<string, string>();
  /** Why an interface could not be made again, by endpoint. */
  readonly #failed = new Map<string, string>();
  readonly #ready = Promise.withResolvers<void>();
  #isReady = false;
  #looksSoon = false;
  /** Set by whoever follows the engine. */
  engine: PlacesEngine | undefined;

  constructor(parts: EnginePlacesParts) {
    this.#parts = parts;
  }

  /** Whether an endpoint is one of ours, whether its interface is there or not. */
  has(endpoint: string): boolean {
    return this.#places.has(endpoint);
  }

  /** Whether a container is in a network with this address. */
  isUsed(ip: Ip): boolean {
    return [...this.#places.values()].some(({ address }) => address.ip === ip);
  }

  /** Resolves when it is known which addresses are in use, or cannot be. At once but for the first moments. */
  async ready(): Promise<void> {
    if (this.#isReady || this.engine === undefined) return;
    this.#parts.later(READY_MS, () => this.settle());
    await this.#ready.promise;
  }

  /** Nobody waits any more: what the engine has given out is known, or it cannot be asked. */
  settle(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  /** An endpoint is leaving, or has left. */
  left(endpoint: string): void {
    if (this.#asking > 0) this.#left.add(endpoint);
    this.#forget(endpoint);
  }

  /** The interface of an endpoint has gone while its container runs: that is looked at soon. */
  lookSoon(): void {
    if (this.#looksSoon) return;
    this.#looksSoon = true;
    this.#parts.later(SOON_MS, () => {
      this.#looksSoon = false;
      this.#parts.faults.later("look who is in networks of an engine", this.look());
    });
  }

  /** Asks the engine, holds what it has given out, and mends. Does not throw. */
  async look(): Promise<void> {
    const { logger } = this.#parts;
    if (this.#asking++ === 0) this.#left.clear();
    const asked = ++this.#asked;
    try {
      const found = await this.engine?.places();
      if (found === undefined || asked < this.#answered) return; // a later answer came first
      this.#answered = asked;
      const here = found.filter(({ endpoint }) => !this.#left.has(endpoint)).slice(0, MAX_PLACES);
      const present = new Set(here.map(({ endpoint }) => endpoint));
      for (const endpoint of [...this.#places.keys()]) if (!present.has(endpoint)) this.#forget(endpoint);
      for (const one of here) this.#places.set(one.endpoint, one);
      this.#adoptAll(here);
      this.mendAll();
    } catch (thrown) {
      logger.warn("engine does not say who is in its networks", { reason: messageOf(thrown) });
    } finally {
      this.#asking--;
      this.settle();
    }
  }

  /** Makes the interfaces again that have gone, of running containers whose addresses are this host's. */
  mendAll(): void {
    const isPlugged = this.#parts.lookAtPairs();
    for (const endpoint of this.#places.keys()) if (!isPlugged(endpoint)) this.#mend(endpoint);
  }

  /** What is not as it should be, with what to do. */
  problems(): readonly Problem[] {
    const problems: Problem[] = [];
    if (this.#places.size === 0) return problems;
    const isPlugged = this.#parts.lookAtPairs();
    for (const [endpoint, place] of this.#places) {
      const { address, container, name, network } = place;
      const refused = this.#refused.get(endpoint);
      const failed = this.#failed.get(endpoint);
      const isCut = !isPlugged(endpoint) &&
        this.engine?.namespaceOf(container, endpoint) !== undefined;
      if (refused === undefined && !isCut) continue;
      const what = isCut ? `${name} is cut off from network ${network}` : `${name} has a wrong address`;
      const waits = `its address ${formatCidr(address)} waits until hosts have shared the range out`;
      const why = refused ?? failed ?? (this.#isHeld(place) ? "its interface has gone" : waits);
      problems.push({ message: `${what}: ${why}`, hint: `Run: docker restart ${name}` });
      if (problems.length >= MAX_PROBLEMS) break;
    }
    return problems;
  }

  #forget(endpoint: string): void {
    this.#places.delete(endpoint);
    this.#refused.delete(endpoint);
    this.#failed.delete(endpoint);
  }

  #adoptAll(places: readonly EnginePlace[]): void {
    const first = new Map<Ip, EnginePlace>();
    const held = new Set((this.#parts.addresses?.held() ?? []).map(({ ip }) => ip));
    for (const place of places) {
      const { ip } = place.address;
      const other = first.get(ip);
      if (other === undefined) {
        first.set(ip, place);
        if (held.has(ip)) this.#refused.delete(place.endpoint);
        else this.#adopt(place, TRY_AGAIN_MS.least);
      } else this.#refuse(place, `${other.name} has ${ip}, too`);
    }
  }

  #adopt(place: EnginePlace, againMs: number): void {
    const { addresses, faults, later, logger } = this.#parts;
    const { address, endpoint, name } = place;
    if (addresses === undefined) return;
    const isStill = () => this.#places.get(endpoint) === place;
    const adopting = async () => {
      try {
        await addresses.adopt(address);
        if (!isStill()) return;
        this.#refused.delete(endpoint);
        logger.info("address of an engine's container held", {
          container: name,
          address: formatCidr(address),
        });
        if (!this.#parts.lookAtPairs()(endpoint)) this.#mend(endpoint);
      } catch (thrown) {
        if (!(thrown instanceof MeshnetError)) throw thrown;
        if (!isStill()) return;
        this.#refuse(place, messageOf(thrown));
        later(againMs, () => {
          if (isStill()) this.#adopt(place, Math.min(2 * againMs, TRY_AGAIN_MS.most));
        });
      }
    };
    faults.later("hold an address of an engine's container", adopting());
  }

  #refuse({ endpoint, name }: EnginePlace, reason: string): void {
    if (this.#refused.get(endpoint) !== reason) {
      this.#parts.logger.warn("address of an engine's container not held", { container: name, reason });
    }
    this.#refused.set(endpoint, reason);
  }

  #isHeld({ address }: EnginePlace): boolean {
    const { addresses } = this.#parts;
    return addresses === undefined || addresses.holds(address.ip);
  }

  #mend(endpoint: string): void {
    const { logger, mend } = this.#parts;
    const place = this.#places.get(endpoint);
    if (place === undefined || this.#refused.has(endpoint) || !this.#isHeld(place)) return;
    const { address, container, mac, name, network } = place;
    const path = this.engine?.namespaceOf(container, endpoint);
    if (path === undefined) return; // it starts, or ends
    try {
      mend({ endpoint, path, address, mac });
      this.#failed.delete(endpoint);
      logger.info("container of an engine connected again", { container: name, network });
    } catch (thrown) {
      const reason = messageOf(thrown);
      if (this.#failed.get(endpoint) !== reason) {
        logger.warn("container of an engine not connected again", { container: name, network, reason });
      }
      this.#failed.set(endpoint, reason);
    }
    this.engine?.changed(container);
  }
}
