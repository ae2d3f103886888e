/** Interfaces that a container engine puts into its containers itself: made on the host, both ends. */
import { ERRNO } from "../core/errno.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { deleteLink, newVeth, setLink } from "../wire/netlink/rtnetlink.ts";
import type { SwitchPorts, Sysctl } from "./adapters.ts";
import { failedWith, findLink, listLinks } from "./links_shell.ts";
import { endpointInterfaces, isEndpointInterface } from "./names.ts";

/** A pair that nobody needs any more is removed so much later, in milliseconds: the engine has other calls for us, and who
 * asked it to end a container waits for them. */
const REMOVE_MS = 50;

/** What is needed of the host. */
export interface EndpointSurroundings {
  /** An rtnetlink socket of the daemon's namespace. */
  readonly host: NetlinkSocket;
  readonly ports: SwitchPorts;
  readonly sysctl: Sysctl;
  /** MTU of the network. */
  readonly mtu: number;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
  readonly log: Pick<Logger, "warn">;
}

/** Makes and removes such pairs. Which there are, the kernel knows. Disposing it removes what was to be removed later. */
export class EngineEndpoints implements Disposable {
  readonly #around: EndpointSurroundings;
  /** Why which cannot be connected: told once. */
  readonly #failures = new Map<string, string>();
  /** Host ends of pairs that will be removed: for everybody else they have gone already. */
  readonly #leaving = new Set<string>();

  constructor(around: EndpointSurroundings) {
    this.#around = around;
  }

  /** Whether there is one. */
  get any(): boolean {
    return this.outerNames().length > 0;
  }

  /** Whether there is the pair of this endpoint. */
  has(endpoint: string): boolean {
    const { outer } = endpointInterfaces(endpoint);
    return !this.#leaving.has(outer) && findLink(this.#around.host, outer)?.kind === "veth";
  }

  /** Says of endpoints whether there is the pair of each, from one look at all. */
  look(): (endpoint: string) => boolean {
    const present = new Set(this.outerNames());
    return (endpoint) => present.has(endpointInterfaces(endpoint).outer);
  }

  /** The host's ends of all. */
  outerNames(): readonly string[] {
    return listLinks(this.#around.host).map(({ name }) => name).filter((name) =>
      isEndpointInterface(name) && !this.#leaving.has(name)
    );
  }

  /** Makes a pair for an endpoint, in place of one that is there. Returns the name of the end for the container. On failure
   * nothing is left. */
  make(endpoint: string): string {
    const { host, mtu } = this.#around;
    const { guest, outer } = endpointInterfaces(endpoint);
    this.#leaving.delete(outer); // it may have gone with its container, and the new one is to stay
    const pair = newVeth({ name: guest, mtu, mac: undefined }, { name: outer, mtu });
    try {
      host.request(pair);
    } catch (thrown) {
      if (!failedWith(thrown, ERRNO.EEXIST)) throw thrown;
      this.remove(endpoint);
      host.request(pair);
    }
    try {
      this.#connect(outer, findLink(host, outer)!.index);
    } catch (thrown) {
      this.remove(endpoint);
      throw thrown;
    }
    return guest;
  }

  /** Removes the pair of an endpoint, wherever its other end is; fine when there is none. */
  remove(endpoint: string): void {
    this.removeOuter(endpointInterfaces(endpoint).outer);
  }

  /** Removes the pair of an endpoint soon. Until then it counts as gone; what is there when the process ends is found by
   * whoever looks for what nobody uses. */
  removeSoon(endpoint: string): void {
    const isFirst = this.#leaving.size === 0;
    this.#leaving.add(endpointInterfaces(endpoint).outer);
    if (isFirst) this.#around.later(REMOVE_MS, () => this.#removeNext());
  }

  /** Removes what was to be removed later. */
  [Symbol.dispose](): void {
    for (const outer of this.#leaving) this.removeOuter(outer);
  }

  /** Removes one: others have their turn before the next. */
  #removeNext(): void {
    const [outer] = this.#leaving;
    if (outer === undefined) return;
    try {
      this.removeOuter(outer);
    } finally {
      if (this.#leaving.size > 0) this.#around.later(0, () => this.#removeNext());
    }
  }

  /** Removes the pair with this end on the host; fine when there is none. */
  removeOuter(outer: string): void {
    const { host, ports } = this.#around;
    this.#failures.delete(outer);
    this.#leaving.delete(outer);
    const link = findLink(host, outer);
    if (link?.kind !== "veth") return;
    ports.remove(outer);
    try {
      host.request(deleteLink(link.index));
    } catch (thrown) {
      if (!failedWith(thrown, ERRNO.ENODEV)) throw thrown; // it went with its container
    }
  }

  /** Connects what is there to the switch, where it is not: after a restart, or when the switch was made anew. With `only`,
   * those host ends. Does not throw: one that cannot be connected is told of, and the others are. */
  keep(only?: readonly string[]): void {
    const { host, log, ports } = this.#around;
    const links = only?.flatMap((name) => findLink(host, name) ?? []) ?? listLinks(host);
    for (const { index, kind, name, up } of links) {
      if (kind !== "veth" || !isEndpointInterface(name) || this.#leaving.has(name)) continue;
      try {
        if (!up || !ports.has(name)) this.#connect(name, index);
        this.#failures.delete(name);
      } catch (thrown) {
        if (failedWith(thrown, ERRNO.ENODEV)) continue; // it has gone with its container
        const reason = messageOf(thrown);
        if (this.#failures.get(name) !== reason) {
          log.warn("endpoint-not-connected", { interface: name, reason });
        }
        this.#failures.set(name, reason);
      }
    }
  }

  #connect(outer: string, index: number): void {
    const { host, ports, sysctl } = this.#around;
    const key = `net/ipv6/conf/${outer}/disable_ipv6`; // it only passes frames on
    if (sysctl.read(undefined, key) !== undefined) sysctl.write(undefined, key, "1");
    ports.add(outer);
    host.request(setLink(index, { up: true }));
  }
}
