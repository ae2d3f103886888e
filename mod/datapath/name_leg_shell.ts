/** The place of this host's name server in the network. It is a namespace of its own: nothing else of the host can be
 * reached there, the host's INPUT rules and routes have no say, and no other server has its port. */
import type { Cidr } from "../core/addr.ts";
import { ERRNO } from "../core/errno.ts";
import { errnoOf, MeshnetError } from "../core/errors.ts";
import { NAME_PORT, NAME_SERVER_MAC } from "../core/name_leg.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import * as rt from "../wire/netlink/rtnetlink.ts";
import { linkOf } from "./links_shell.ts";
import { EVERYBODY, NAME_ADDRESS, type NameLegStep, planNameLeg } from "./name_leg.ts";

/** Settings in the namespace: it forwards nothing, has no IPv6 yet, and learns who has an address from what containers tell
 * it unasked, as quickly as they learn of each other. */
const SETTINGS: readonly (readonly [key: string, value: string])[] = [
  ["net/ipv4/conf/all/forwarding", "0"],
  [`net/ipv4/conf/${NAME_PORT}/forwarding`, "0"],
  [`net/ipv4/conf/${NAME_PORT}/arp_accept`, "1"],
  [`net/ipv6/conf/${NAME_PORT}/disable_ipv6`, "1"],
  [`net/ipv4/neigh/${NAME_PORT}/base_reachable_time_ms`, "5000"],
  [`net/ipv4/neigh/${NAME_PORT}/delay_first_probe_time`, "2"],
  [`net/ipv4/neigh/${NAME_PORT}/ucast_solicit`, "1"],
];

/** What the leg is made through. */
export interface NameLegParts {
  readonly mtu: number;
  /** Whether the switch is a bridge, which has to be told who is behind the port. */
  readonly bridge: boolean;
  readonly ports: { has(name: string): boolean; add(name: string): void };
  /** An rtnetlink socket of the host's namespace, borrowed. */
  readonly host: NetlinkSocket;
  /** One of the name server's namespace; the leg disposes of it. */
  readonly inside: NetlinkSocket;
  /** The daemon's process, by which a request from inside names the host's namespace. */
  readonly pid: number;
  /** Writes a setting below /proc/sys, in the name server's namespace or (`host`) the host's; what this kernel lacks is
   * left out. */
  readonly write: (key: string, value: string, where?: "host") => void;
}

/** Owner of the pair. One thread, synchronous. */
export class NameLeg implements Disposable {
  constructor(readonly parts: NameLegParts) {}

  /** Has everything in its place; says whether something had to change. Throws what the kernel refuses. */
  keep(): boolean {
    const { host, inside, mtu, ports } = this.parts;
    const outer = linkOf(host, NAME_PORT);
    const inner = linkOf(inside, NAME_PORT);
    if (outer !== undefined && outer.kind !== "veth") {
      throw new MeshnetError(
        "datapath/wrong-kind",
        `Cannot use ${NAME_PORT} for the name server: it is an interface of kind ${outer.kind ?? "unknown"}`,
        { hint: `If nothing uses it, remove it with \`ip link delete ${NAME_PORT}\`` },
      );
    }
    const steps = planNameLeg({
      mtu,
      outer: outer && { ...outer, isPort: ports.has(NAME_PORT) },
      inner: inner && {
        ...inner,
        hasAddress: this.#has(rt.dumpAddresses(), (reply) => {
          const address = rt.decodeAddress(reply);
          return address.ok && address.value.index === inner.index ? address.value.cidr : undefined;
        }, NAME_ADDRESS),
        hasRoute: this.#has(rt.dumpRoutes(), (reply) => {
          const route = rt.decodeRoute(reply);
          const isOurs = route.ok && route.value.table === rt.MAIN_TABLE &&
            route.value.interfaces.includes(inner.index);
          return isOurs ? route.value.destination : undefined;
        }, EVERYBODY),
      },
    });
    for (const step of steps) this.#perform(step);
    return steps.length > 0;
  }

  /** Takes the leg out of the network. */
  remove(): void {
    const { host, inside } = this.parts;
    for (const socket of [host, inside]) {
      const link = linkOf(socket, NAME_PORT);
      try {
        if (link?.kind === "veth") socket.request(rt.deleteLink(link.index));
      } catch (thrown) { // with a namespace that the kernel is just about to clear away
        if (errnoOf(thrown) !== ERRNO.ENODEV) throw thrown;
      }
    }
  }

  #has(
    request: Uint8Array<ArrayBuffer>,
    read: (reply: Uint8Array) => Cidr | undefined,
    wanted: Cidr,
  ): boolean {
    return this.parts.inside.request(request).map(read).some((cidr) =>
      cidr?.ip === wanted.ip && cidr.prefix === wanted.prefix
    );
  }

  #perform(step: NameLegStep): void {
    const { bridge, host, inside, mtu, pid, ports, write } = this.parts;
    const index = (socket: NetlinkSocket) => linkOf(socket, NAME_PORT)?.index ?? 0;
    switch (step) {
      case "remove":
        return this.remove();
      case "make": {
        const outer = { name: NAME_PORT, mtu, namespace: { kind: "pid", pid } } as const;
        inside.request(rt.newVeth({ name: NAME_PORT, mtu, mac: NAME_SERVER_MAC }, outer));
        for (const [key, value] of SETTINGS) write(key, value);
        return write(`net/ipv6/conf/${NAME_PORT}/disable_ipv6`, "1", "host");
      }
      case "size":
        for (const socket of [host, inside]) socket.request(rt.setLink(index(socket), { mtu }));
        return;
      case "connect": {
        ports.add(NAME_PORT);
        if (!bridge) return;
        // Nothing comes here but what is sent to the name server itself, and nobody else can pose as it.
        const port = index(host);
        host.request(rt.setBridgePort(port, { learning: false, flooding: false, unknown: false }));
        host.request(rt.setBridgeEntry(port, NAME_SERVER_MAC));
        return;
      }
      case "outer-up":
        return void host.request(rt.setLink(index(host), { up: true }));
      case "address":
        return void inside.request(rt.addAddress(index(inside), NAME_ADDRESS));
      case "inner-up":
        return void inside.request(rt.setLink(index(inside), { up: true }));
      case "route":
        return void inside.request(rt.addLinkRoute(index(inside), EVERYBODY));
    }
  }

  /** Takes the leg out of the network, as far as that works: the rest goes with its namespace. */
  [Symbol.dispose](): void {
    try {
      this.remove();
    } catch {
      // The kernel removes it.
    }
    this.parts.inside[Symbol.dispose]();
  }
}
