/** Which containers there are, from the engine's list, its events and looks at single ones. Pure. */
import { assertNever } from "../core/brand.ts";
import type { ContainerDetails, ContainerEvent, ContainerSummary } from "./engine_api.ts";

/** Looks at containers that are under way at once: the engine has other work, too. */
const MAX_LOOKS = 4;
/** The same with those whose answers are delayed: these cost a connection each. */
const MAX_OPEN = 64;
/** Containers that are known, and that wait to be looked at. More than that are no longer followed one by one. */
const MAX_CONTAINERS = 10_000;

/** The first process of a container. */
export interface MainProcess {
  readonly pid: number;
  /** What tells it from a later process with its number. */
  readonly mark: string;
}

/** A container looked at, with the mark of its process. */
export interface Looked extends Omit<ContainerDetails, "pid"> {
  /** undefined: it does not run. */
  readonly process: MainProcess | undefined;
}

/** A container that somebody wants to know of. Of one that does not run, only name, labels and networks are known. */
export type Known = Omit<Looked, "id">;

/** What of the engine's networks is ours. */
export interface OurNetworks {
  /** Whether networks with this driver are. */
  readonly isDriver: (driver: string) => boolean;
  /** Whether an endpoint with this id is. */
  readonly isEndpoint: (endpoint: string) => boolean;
}

/** What happened. */
export type FollowerEvent =
  /** Events come from now on, and none is lost until `lost`. */
  | { readonly kind: "connected" }
  | { readonly kind: "listed"; readonly containers: readonly ContainerSummary[] }
  | { readonly kind: "event"; readonly event: ContainerEvent }
  /** An event came that could not be read. */
  | { readonly kind: "missed" }
  /** The answer to a look does not come yet: the engine works on that container, and says nothing of it until it has done. */
  | { readonly kind: "delayed"; readonly id: string }
  /** `found` is undefined where the engine has no such container. */
  | { readonly kind: "looked"; readonly id: string; readonly found: Looked | undefined }
  /** Somebody has asked for a container; `asOf` is what `count` said when the engine was asked. Tells nobody: whoever
   * asked does with the container what is to be done. */
  | { readonly kind: "resolved"; readonly id: string; readonly found: Looked; readonly asOf: number }
  /** The engine cannot be asked any more; what is under way has been given up. */
  | { readonly kind: "lost" };

/** What is to be done. */
export type FollowerEffect =
  | { readonly kind: "list" }
  | { readonly kind: "look"; readonly id: string }
  /** Something may have changed about a container. */
  | { readonly kind: "changed"; readonly id: string }
  /** All containers are known now: those that are not there have gone. */
  | { readonly kind: "synced" };

/**
 *              connected            listed, all looked at
 *     lost ------------> listing ------------------------> synced --.
 *      ^                    |  ^                             |  |    | event: looks at it again
 *      '--------------------+--|-----------------------------'  |<---'
 *                              '-------------- missed ----------'
 *
 * An event only says which container to look at: what holds is what the look finds. So events may come twice, late or
 * mixed up with the list.
 */
export class Follower {
  readonly #isAttached: (id: string) => boolean;
  readonly #ours: OurNetworks;
  readonly #known = new Map<string, Known & { readonly at: number }>();
  #count = 0;
  #state: "lost" | "listing" | "looking" | "synced" = "lost";
  /** Another list is needed after this one. */
  #listAgain = false;
  /** Containers that something was heard of since the list was asked for. */
  readonly #fresh = new Set<string>();
  /** Those of the list that are not looked at yet. */
  readonly #unseen = new Set<string>();
  readonly #waiting = new Set<string>();
  /** Looks under way; true: it must be looked at once more. */
  readonly #looks = new Map<string, boolean>();
  /** Those of them that the engine does not answer yet. */
  readonly #delayed = new Set<string>();

  /** `isAttached` says whether a container hangs on the network, or waits to. */
  constructor(isAttached: (id: string) => boolean, ours: OurNetworks) {
    this.#isAttached = isAttached;
    this.#ours = ours;
  }

  /** Whether containers that are not known have gone. */
  get isSynced(): boolean {
    return this.#state === "synced";
  }

  /** How often something was learnt. */
  get count(): number {
    return this.#count;
  }

  /** Whether answers about containers are waited for. */
  get isLooking(): boolean {
    return this.#looks.size + this.#waiting.size > 0;
  }

  /** What is known of a container. */
  get(id: string): Known | undefined {
    return this.#known.get(id);
  }

  /** The containers that are known. */
  all(): IterableIterator<[id: string, known: Known]> {
    return this.#known.entries();
  }

  /** Handles one event. Never throws. */
  step(event: FollowerEvent): readonly FollowerEffect[] {
    switch (event.kind) {
      case "connected":
        return this.#list();
      case "missed":
        if (this.#state === "listing") this.#listAgain = true;
        return this.#state === "looking" || this.#state === "synced" ? this.#list() : [];
      case "listed":
        return this.#state === "listing" ? this.#listed(event.containers) : [];
      case "event":
        return this.#heard(event.event);
      case "delayed":
        if (this.#looks.has(event.id)) this.#delayed.add(event.id);
        return this.#looksToBegin();
      case "looked":
        return this.#looked(event.id, event.found);
      case "resolved":
        return this.#resolved(event);
      case "lost":
        this.#state = "lost";
        this.#listAgain = false;
        for (const set of [this.#fresh, this.#unseen, this.#waiting, this.#looks, this.#delayed]) set.clear();
        return [];
      default:
        return assertNever(event);
    }
  }

  #list(): readonly FollowerEffect[] {
    this.#state = "listing";
    this.#listAgain = false;
    this.#fresh.clear();
    this.#unseen.clear();
    return [{ kind: "list" }];
  }

  #listed(containers: readonly ContainerSummary[]): readonly FollowerEffect[] {
    if (this.#listAgain) return this.#list();
    const present = new Set(containers.map(({ id }) => id));
    for (const id of this.#known.keys()) {
      if (!this.#fresh.has(id) && (!present.has(id) || !this.#matters(id))) this.#known.delete(id);
    }
    for (const one of containers) {
      const { endpoints, id, labels, mayRun } = one;
      const matters = this.#isAttached(id) || labels.size > 0 || endpoints.some(this.#ours.isEndpoint);
      if (this.#fresh.has(id) || !matters) continue;
      if (!mayRun) this.#know(id, resting(one));
      else this.#unseen.add(id);
    }
    this.#state = "looking";
    for (const id of this.#unseen) this.#want(id);
    for (const id of this.#fresh) if (this.#looks.has(id) || this.#waiting.has(id)) this.#unseen.add(id);
    return [...this.#looksToBegin(), ...this.#settle()];
  }

  #heard({ driver, id, labels }: ContainerEvent): readonly FollowerEffect[] {
    if (this.#state === "lost") return [];
    const isOurs = driver !== undefined && this.#ours.isDriver(driver);
    const isAsked = this.#looks.has(id) || this.#waiting.has(id); // what is under way may be older than the event
    if (!isOurs && !isAsked && !this.#matters(id) && labels.size === 0) return [];
    if (this.#waiting.size >= MAX_CONTAINERS || this.#fresh.size >= MAX_CONTAINERS) {
      return this.step({ kind: "missed" });
    }
    this.#freshen(id);
    this.#want(id);
    return this.#looksToBegin();
  }

  #looked(id: string, found: Looked | undefined): readonly FollowerEffect[] {
    if (found === undefined) this.#known.delete(id);
    else this.#know(id, found);
    this.#freshen(id);
    const again = this.#looks.get(id) === true;
    this.#looks.delete(id);
    this.#delayed.delete(id);
    if (again) this.#want(id);
    else this.#unseen.delete(id);
    // What has gone is told once all are known; others do not wait for the one that the engine works on.
    const isTold = this.#state === "synced" || this.#state === "looking" && found !== undefined;
    const changed: FollowerEffect[] = isTold ? [{ kind: "changed", id }] : [];
    return [...this.#looksToBegin(), ...changed, ...this.#settle()];
  }

  #resolved({ asOf, found, id }: Extract<FollowerEvent, { kind: "resolved" }>): readonly FollowerEffect[] {
    if ((this.#known.get(id)?.at ?? 0) <= asOf) this.#know(id, found);
    this.#freshen(id); // a list that is on its way may be older
    return [];
  }

  #settle(): readonly FollowerEffect[] {
    if (this.#state !== "looking" || this.#unseen.size > 0) return [];
    this.#state = "synced";
    return [{ kind: "synced" }];
  }

  #matters(id: string): boolean {
    const known = this.#known.get(id);
    return this.#isAttached(id) || known !== undefined &&
        (known.labels.size > 0 || known.endpoints.some((one) => this.#ours.isEndpoint(one.id)));
  }

  #know(id: string, known: Known): void {
    if (this.#known.size < MAX_CONTAINERS || this.#known.has(id) || this.#isAttached(id)) {
      this.#known.set(id, { ...known, at: ++this.#count });
    }
  }

  #freshen(id: string): void {
    if (this.#state === "listing") this.#fresh.add(id);
  }

  #want(id: string): void {
    if (this.#looks.has(id)) this.#looks.set(id, true);
    else this.#waiting.add(id);
  }

  #looksToBegin(): readonly FollowerEffect[] {
    const effects: FollowerEffect[] = [];
    for (const id of this.#waiting) {
      if (this.#looks.size - this.#delayed.size >= MAX_LOOKS || this.#looks.size >= MAX_OPEN) break;
      this.#waiting.delete(id);
      this.#looks.set(id, false);
      effects.push({ kind: "look", id });
    }
    return effects;
  }
}

/** What the list says of a container that does not run. */
function resting({ labels, name, networks }: ContainerSummary): Known {
  const endpoints = networks.map((network) => ({ network, id: "", address: undefined, aliases: [] }));
  return {
    ...{ name, labels, endpoints, process: undefined, hostname: "", sandbox: "" },
    health: "none",
    paused: false,
  };
}
