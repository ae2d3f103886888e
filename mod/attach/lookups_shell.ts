/** What containers need that an engine puts into the network itself: they reach this host's name server unasked, and have the
 * MTU of the network as it is now. */
import { type Cidr, parseCidr } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import { ERRNO } from "../core/errno.ts";
import { messageOf } from "../core/errors.ts";
import { NAME_SERVER_IP, NAME_SERVER_MAC } from "../core/name_leg.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import * as rt from "../wire/netlink/rtnetlink.ts";
import { failedWith, findLink, listLinks, sure } from "./links_shell.ts";
import { type LookupStep, planLookups, type PresentLookups } from "./lookups.ts";
import { outerInterface } from "./names.ts";
import type { NamespaceProbe } from "./target.ts";

const MULTICAST = parseCidr("224.0.0.0/4")!;
const NAME_SERVER: Cidr = { ip: NAME_SERVER_IP, prefix: 32 };
/** An engine makes a container's namespace some time after it has said where that will be. It is looked for so often, at
 * first and later, in milliseconds, and for so long. */
const LOOK = { firstMs: 4, soonMs: 1_000, laterMs: 50, wholeMs: 30_000 } as const;
/** Redirects that nobody needs any more end so much later, in milliseconds: the kernel takes its time, and the engine waits
 * for an answer. */
const SWEEP_MS = 50;

/** What is needed of the host. */
export interface LookupsParts {
  /** An rtnetlink socket of the daemon's namespace. */
  readonly host: NetlinkSocket;
  readonly openRoute: (namespacePath: string) => NetlinkSocket;
  readonly probe: Pick<NamespaceProbe, "identify" | "own">;
  /** Has questions for the engine's own name server come to ours in a namespace, until it is disposed. */
  readonly redirect: (namespacePath: string) => Disposable;
  /** MTU of the network. */
  readonly mtu: number;
  /** Whether there is a name server. */
  readonly nameServer: boolean;
  /** Whether multicast leaves through the interface, unless another one has it. */
  readonly multicastRoute: boolean;
  /** Whether frames pass at an interface of this host, so that the other end of its pair is up; undefined: there is no such
   * interface. Cheap: it is asked often. */
  readonly passesFrames: (outer: string) => boolean | undefined;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
  readonly log: Pick<Logger, "warn">;
}

/** Where the container of an endpoint is. */
interface Place {
  readonly path: string;
  /** Whether the container runs, so that the engine has done with it. */
  readonly settled: boolean;
  /** For how long it has been looked for; undefined: it was found. */
  readonly lookedMs: number | undefined;
}

/** Keeps look-ups right, in each namespace as long as an endpoint of the network is there. Disposing it takes the redirects
 * away: while nobody answers at the name server, containers ask whom they asked before. */
export class ContainerLookups implements Disposable {
  readonly #parts: LookupsParts;
  readonly #places = new Map<string, Place>();
  /** By namespace. */
  readonly #redirects = new Map<string, Disposable>();
  #ticking = false;
  #sweeping = false;
  #over = false;
  /** What has failed, by endpoint. */
  readonly #failures = new Map<string, string>();

  constructor(parts: LookupsParts) {
    this.#parts = parts;
  }

  /** Why containers find no names by themselves, a sentence without full stop; undefined: they do. */
  get problem(): string | undefined {
    return this.#failures.values().next().value;
  }

  /** An endpoint's container has its namespace at this path: now, as it runs (`settled`), or soon. */
  at(endpoint: string, path: string, settled: boolean): void {
    const before = this.#places.get(endpoint);
    const isKnown = before?.path === path;
    this.#places.set(endpoint, { path, settled, lookedMs: isKnown ? before.lookedMs : 0 });
    if (isKnown) return this.#look(endpoint);
    this.#look(endpoint);
    this.#tickLater();
  }

  /** Whether some other endpoint is, or will be, in the namespace at this path. */
  hasOthers(path: string, endpoint: string): boolean {
    const namespace = this.#namespaceAt(path);
    return [...this.#places].some(([id, place]) =>
      id !== endpoint &&
      (place.path === path || namespace !== undefined && this.#namespaceAt(place.path) === namespace)
    );
  }

  /** An endpoint leaves its container. */
  drop(endpoint: string): void {
    if (this.#forget(endpoint)) this.#sweepLater();
  }

  /** Puts right what others have changed, and lets go of what has gone. */
  keep(): void {
    for (const [endpoint, { lookedMs }] of [...this.#places]) {
      if (lookedMs === undefined) this.#look(endpoint);
    }
    this.#sweep();
  }

  /** Takes the redirects away. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#places.clear();
    this.#failures.clear();
    this.#sweep();
  }

  /** Says whether the endpoint was known. */
  #forget(endpoint: string): boolean {
    this.#failures.delete(endpoint);
    return this.#places.delete(endpoint);
  }

  /** A namespace's identity; undefined: there is none at that path yet, or no more. */
  #namespaceAt(path: string): string | undefined {
    const { probe } = this.#parts;
    const found = probe.identify(path);
    if (found === undefined || found.device !== probe.own().device) return undefined; // a file that waits for a mount
    return `${found.device}:${found.inode}`;
  }

  #look(endpoint: string): void {
    const place = this.#places.get(endpoint);
    if (place === undefined) return;
    try {
      const namespace = this.#namespaceAt(place.path);
      if (namespace === undefined) {
        if (place.lookedMs === undefined) this.#forget(endpoint);
        return;
      }
      const isAwaited = !place.settled && place.lookedMs !== undefined;
      if (isAwaited && this.#waits(endpoint, place, namespace)) return;
      if (this.#connect(endpoint, place, namespace)) {
        this.#places.set(endpoint, { ...place, lookedMs: undefined });
      }
    } catch (thrown) {
      if (failedWith(thrown, ERRNO.ENOENT, ERRNO.ENODEV, ERRNO.ESRCH)) return; // it has just gone
      this.#failed(endpoint, place.path, thrown);
      this.#places.set(endpoint, { ...place, lookedMs: undefined }); // the next look tries again
    }
  }

  /** The engine is still at work in this namespace: only what can be done before the interface is there is done. Says whether
   * there is nothing else to do yet. */
  #waits(endpoint: string, { path }: Place, namespace: string): boolean {
    const passes = this.#parts.passesFrames(outerInterface(endpoint));
    if (passes === undefined) this.drop(endpoint); // the pair has gone
    if (passes !== false) return passes === undefined;
    const isWanted = this.#parts.nameServer && !this.#failures.has(endpoint); // what was refused is tried again later
    if (isWanted && !this.#redirects.has(namespace)) this.#redirect(endpoint, path, namespace);
    return true;
  }

  #failed(endpoint: string, path: string, thrown: unknown): void {
    const reason = messageOf(thrown);
    if (![...this.#failures.values()].includes(reason)) {
      this.#parts.log.warn("containers of the engine find no names", { path, reason });
    }
    this.#failures.set(endpoint, reason);
  }

  #redirect(endpoint: string, path: string, namespace: string): void {
    try {
      this.#redirects.set(namespace, this.#parts.redirect(path));
    } catch (thrown) { // the rest of what the container needs does without
      this.#failed(endpoint, path, thrown);
    }
  }

  /** Says whether the endpoint's interface is there with all that it needs. */
  #connect(endpoint: string, { path, settled }: Place, namespace: string): boolean {
    using route = this.#parts.openRoute(path);
    const outer = findLink(this.#parts.host, outerInterface(endpoint));
    const guest = outer &&
      listLinks(route).find((link) =>
        link.kind === "veth" && link.index === outer.peerIndex && link.peerIndex === outer.index
      );
    if (settled && guest !== undefined) this.#setMtu([[this.#parts.host, outer!], [route, guest]]);
    const present = { ...this.#observe(route, guest, namespace), settled };
    for (const step of planLookups(present)) {
      this.#perform(step, { endpoint, route, guest, path, namespace });
    }
    if (!this.#parts.nameServer || this.#redirects.has(namespace)) this.#failures.delete(endpoint);
    return present.up;
  }

  /** A pair that was made when the network had another MTU gets the present one. */
  #setMtu(ends: readonly (readonly [socket: NetlinkSocket, link: rt.Link])[]): void {
    const { mtu } = this.#parts;
    for (const [socket, link] of ends) {
      if (link.mtu !== mtu) socket.request(rt.setLink(link.index, { mtu }));
    }
  }

  #observe(
    route: NetlinkSocket,
    guest: rt.Link | undefined,
    namespace: string,
  ): Omit<PresentLookups, "settled"> {
    const { multicastRoute, nameServer } = this.#parts;
    const redirected = !nameServer || this.#redirects.has(namespace);
    if (guest?.up !== true) {
      return { up: false, route: false, neighbour: false, multicast: false, redirected };
    }
    const routes = route.request(rt.dumpRoutes()).map((reply) => sure(rt.decodeRoute(reply)));
    const leadsTo = (to: Cidr) =>
      routes.some(({ destination: { ip, prefix }, table }) =>
        table === rt.MAIN_TABLE && ip === to.ip && prefix === to.prefix
      );
    const knows = () =>
      route.request(rt.dumpNeighbours(guest.index)).map((reply) => sure(rt.decodeNeighbour(reply)))
        .some((one) => one.index === guest.index && one.ip === NAME_SERVER_IP && one.permanent);
    return {
      up: true,
      route: !nameServer || leadsTo(NAME_SERVER),
      neighbour: !nameServer || knows(),
      multicast: !multicastRoute || leadsTo(MULTICAST),
      redirected,
    };
  }

  #perform(step: LookupStep, { endpoint, guest, namespace, path, route }: {
    readonly endpoint: string;
    readonly guest: rt.Link | undefined;
    readonly namespace: string;
    readonly path: string;
    readonly route: NetlinkSocket;
  }): void {
    const index = guest?.index ?? 0;
    const add = (to: Cidr) => {
      try {
        route.request(rt.addLinkRoute(index, to));
      } catch (thrown) {
        if (!failedWith(thrown, ERRNO.EEXIST)) throw thrown; // the engine was faster
      }
    };
    switch (step) {
      case "redirect":
        return this.#redirect(endpoint, path, namespace);
      case "neighbour":
        return void route.request(rt.setNeighbour(index, NAME_SERVER_IP, NAME_SERVER_MAC));
      case "route":
        return add(NAME_SERVER);
      case "multicast":
        return add(MULTICAST);
      default:
        return assertNever(step);
    }
  }

  /** Ends the redirects of namespaces that no endpoint is in: they would keep them alive. */
  #sweep(): void {
    const used = new Set([...this.#places.values()].map(({ path }) => this.#namespaceAt(path)));
    for (const [namespace, redirect] of this.#redirects) {
      if (used.has(namespace)) continue;
      this.#redirects.delete(namespace);
      redirect[Symbol.dispose]();
    }
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#over) return;
    this.#sweeping = true;
    this.#parts.later(SWEEP_MS, () => {
      this.#sweeping = false;
      this.#sweep();
    });
  }

  #tickLater(): void {
    if (this.#ticking || this.#over) return;
    const waiting = [...this.#places.values()].flatMap(({ lookedMs }) => lookedMs ?? []);
    if (waiting.length === 0) return;
    this.#ticking = true;
    const ms = Math.min(...waiting) < LOOK.soonMs ? LOOK.firstMs : LOOK.laterMs;
    this.#parts.later(ms, () => {
      this.#ticking = false;
      this.#tick(ms);
    });
  }

  #tick(ms: number): void {
    for (const [endpoint, place] of [...this.#places]) {
      const { lookedMs } = place;
      if (lookedMs === undefined) continue;
      if (lookedMs > LOOK.wholeMs) this.#forget(endpoint); // the engine has given it up, or tells later
      else {
        this.#places.set(endpoint, { ...place, lookedMs: lookedMs + ms });
        this.#look(endpoint);
      }
    }
    this.#tickLater();
  }
}
