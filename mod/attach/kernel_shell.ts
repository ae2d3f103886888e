/** One target's namespace and the host's, as the planner sees them, and the steps carried out on them. */
import { type Cidr, cidrContains, isIpv4, type Mac, parseCidr } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import { ERRNO } from "../core/errno.ts";
import { MeshnetError } from "../core/errors.ts";
import { NAME_SERVER_IP, NAME_SERVER_MAC } from "../core/name_leg.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { gratuitousArp } from "../wire/packet/arp.ts";
import { unsolicitedAdvertisement } from "../wire/packet/neighbour_advertisement.ts";
import * as rt from "../wire/netlink/rtnetlink.ts";
import type { AttachAdapters } from "./adapters.ts";
import type { OtherNetworks } from "./conflict.ts";
import { isAttachmentInterface, temporaryName } from "./names.ts";
import { type Present, sysctlId, type Wanted, wantedSysctls } from "./plan.ts";
import { failedWith, findLink, listLinks, sure } from "./links_shell.ts";
import type { Side, Step } from "./step.ts";

const MULTICAST = parseCidr("224.0.0.0/4")!;
const NAME_SERVER: Cidr = { ip: NAME_SERVER_IP, prefix: 32 };
const LINK_LOCAL = parseCidr("fe80::/10")!;

/** An interface of ours that is already in a target. */
export interface ExistingPair {
  readonly hostName: string;
  readonly mac: Mac | undefined;
  /** Its addresses but link-local ones. */
  readonly addresses: readonly Cidr[];
}

/** Throws when the interface in a target is the other end of somebody else's host end. */
export function checkPair(
  action: string,
  hostName: string | undefined,
  pair: ExistingPair | undefined,
): void {
  if (pair === undefined || pair.hostName === hostName) return;
  throw new MeshnetError("attach/failed", `Cannot ${action}: it hangs on ${pair.hostName} already`, {
    hint: `It is attached under another name, see \`meshnet status\`; detach that one first`,
  });
}

/** The kernel around one target. Dispose it soon: its socket keeps the target's namespace alive. */
export class TargetKernel implements Disposable {
  readonly #host: NetlinkSocket;
  readonly #target: NetlinkSocket;

  /** `host` is an rtnetlink socket of the daemon's namespace, borrowed; the other one is opened here. */
  constructor(readonly adapters: AttachAdapters, host: NetlinkSocket, readonly path: string) {
    this.#host = host;
    this.#target = adapters.openRoute(path);
  }

  /** Closes the socket in the target. */
  [Symbol.dispose](): void {
    this.#target[Symbol.dispose]();
  }

  #socket(side: Side): NetlinkSocket {
    return side === "host" ? this.#host : this.#target;
  }

  /** The link called `name` in the target if it is ours, undefined if there is none.
   * Throws "attach/failed" when somebody else made it; `action` completes "Cannot". */
  findPair(name: string, action: string): ExistingPair | undefined {
    const guest = findLink(this.#target, name);
    if (guest === undefined) return undefined;
    // The two ends of a pair name each other by index, each in its own namespace's terms.
    const host = guest.kind !== "veth"
      ? undefined
      : listLinks(this.#host).find((link) =>
        link.kind === "veth" && isAttachmentInterface(link.name) && link.index === guest.peerIndex &&
        link.peerIndex === guest.index
      );
    if (host === undefined) {
      throw new MeshnetError(
        "attach/failed",
        `Cannot ${action}: somebody else made the interface ${name} there`,
        {
          hint: `Detach it where it was attached, or remove it inside the namespace: ip link del ${name}`,
        },
      );
    }
    const addresses = this.#addresses().filter((a) => a.index === guest.index).map((a) => a.cidr);
    return { hostName: host.name, mac: guest.mac, addresses };
  }

  #addresses(): readonly rt.InterfaceAddress[] {
    return this.#target.request(rt.dumpAddresses()).map((reply) => sure(rt.decodeAddress(reply)))
      .filter((address) => !cidrContains(LINK_LOCAL, address.cidr.ip));
  }

  #mainRoutes(): readonly rt.Route[] {
    return this.#target.request(rt.dumpRoutes()).map((reply) => sure(rt.decodeRoute(reply)))
      .filter((route) => route.table === rt.MAIN_TABLE && route.type === rt.ROUTE_TYPE.unicast);
  }

  /** Everything the planner must know. Call findPair() before, so that `wanted.name` is known to be ours. */
  observe(wanted: Wanted): Present {
    const host = findLink(this.#host, wanted.hostName);
    const guest = findLink(this.#target, wanted.name);
    const sysctls = new Map<string, string>();
    const routes = guest === undefined ? [] : this.#mainRoutes();
    const leadsTo = (to: Cidr) =>
      routes.some(({ destination: { ip, prefix }, interfaces }) =>
        ip === to.ip && prefix === to.prefix && interfaces.includes(guest!.index)
      );
    for (const setting of guest === undefined ? [] : wantedSysctls(wanted)) {
      const value = this.adapters.sysctl.read(this.#namespace(setting.side), setting.key);
      if (value !== undefined) sysctls.set(sysctlId(setting), value);
    }
    return {
      host: host && { mtu: host.mtu, up: host.up, isPort: this.adapters.ports.has(wanted.hostName) },
      guest: guest && {
        mtu: guest.mtu,
        up: guest.up,
        addresses: this.#addresses().filter((a) => a.index === guest.index).map((a) => a.cidr),
        hasMulticastRoute: leadsTo(MULTICAST),
        nameServer: { route: leadsTo(NAME_SERVER), neighbour: this.#knowsNameServer(guest.index) },
      },
      leftover: findLink(this.#target, temporaryName(wanted.hostName)) !== undefined,
      sysctls,
    };
  }

  #knowsNameServer(index: number): boolean {
    return this.#target.request(rt.dumpNeighbours(index)).map((reply) => sure(rt.decodeNeighbour(reply)))
      .some((one) =>
        one.index === index && one.ip === NAME_SERVER_IP && one.mac === NAME_SERVER_MAC && one.permanent
      );
  }

  /** What interfaces in the target are called. */
  names(): ReadonlySet<string> {
    return new Set(listLinks(this.#target).map(({ name }) => name));
  }

  /** Addresses and routes of interfaces other than `name` in the target. */
  otherNetworks(name: string): OtherNetworks {
    const names = new Map(listLinks(this.#target).map((link) => [link.index, link.name]));
    const nameOf = (index: number) => names.get(index) ?? `number ${index}`;
    return {
      addresses: this.#addresses().map((a) => ({ name: nameOf(a.index), cidr: a.cidr }))
        .filter((a) => a.name !== name),
      routes: this.#mainRoutes().flatMap(({ destination, interfaces, viaGateway }) =>
        interfaces.map((index) => ({ name: nameOf(index), destination, viaGateway }))
      ).filter((route) => route.name !== name),
    };
  }

  #namespace(side: Side): string | undefined {
    return side === "host" ? undefined : this.path;
  }

  #existing(side: Side, name: string): rt.Link {
    const link = findLink(this.#socket(side), name);
    if (link === undefined) {
      throw new MeshnetError("netlink/request-failed", `Interface ${name} has gone`, { errno: ERRNO.ENODEV });
    }
    return link;
  }

  #indexOf(side: Side, name: string): number {
    return this.#existing(side, name).index;
  }

  /** Carries out one step; throws when the kernel refuses it. */
  perform(step: Step): void {
    const { ports, sysctl, pid } = this.adapters;
    switch (step.kind) {
      case "create-pair": {
        const { name, hostName, mtu, mac } = step;
        // Made from inside the target, so that the interface is never seen in the daemon's namespace.
        const namespace = { kind: "pid", pid } as const;
        return this.#send("target", rt.newVeth({ name, mtu, mac }, { name: hostName, mtu, namespace }));
      }
      case "delete-link": {
        const link = findLink(this.#socket(step.side), step.name);
        if (link !== undefined) this.#send(step.side, rt.deleteLink(link.index), ERRNO.ENODEV);
        return;
      }
      case "rename-link":
        return this.#send(step.side, rt.setLink(this.#indexOf(step.side, step.name), { name: step.to }));
      case "set-mtu":
        return this.#send(step.side, rt.setLink(this.#indexOf(step.side, step.name), { mtu: step.mtu }));
      case "set-up":
        return this.#send(step.side, rt.setLink(this.#indexOf(step.side, step.name), { up: step.up }));
      case "add-port":
        return ports.add(step.name);
      case "remove-port":
        return ports.remove(step.name);
      case "add-address":
        return this.#send(
          "target",
          rt.addAddress(this.#indexOf("target", step.name), step.cidr),
          ERRNO.EEXIST,
        );
      case "remove-address":
        return this.#send(
          "target",
          rt.removeAddress(this.#indexOf("target", step.name), step.cidr),
          ERRNO.EADDRNOTAVAIL,
        );
      case "add-multicast-route":
        return this.#send(
          "target",
          rt.addLinkRoute(this.#indexOf("target", step.name), MULTICAST),
          ERRNO.EEXIST,
        );
      case "add-name-server": {
        const index = this.#indexOf("target", step.name);
        // The neighbour first: the first query must ask nobody for it.
        this.#send("target", rt.setNeighbour(index, NAME_SERVER_IP, NAME_SERVER_MAC));
        return this.#send("target", rt.addLinkRoute(index, NAME_SERVER), ERRNO.EEXIST);
      }
      case "remove-name-server": {
        const index = this.#indexOf("target", step.name);
        return this.#send("target", rt.removeLinkRoute(index, NAME_SERVER), ERRNO.ESRCH);
      }
      case "set-sysctl": {
        const namespace = this.#namespace(step.side);
        if (sysctl.read(namespace, step.key) !== undefined) sysctl.write(namespace, step.key, step.value);
        return;
      }
      case "announce": {
        const mac = this.#existing("target", step.name).mac;
        const frames = mac === undefined ? [] : step.addresses.flatMap(({ ip }) => {
          if (!isIpv4(ip)) return [unsolicitedAdvertisement(mac, ip)];
          const own = step.nameServer ? [gratuitousArp(mac, ip, NAME_SERVER_MAC)] : [];
          return [gratuitousArp(mac, ip), ...own];
        });
        return this.adapters.sendFrames(this.path, step.name, frames);
      }
      default:
        return assertNever(step);
    }
  }

  #send(side: Side, request: Uint8Array<ArrayBuffer>, ...fine: readonly number[]): void {
    try {
      this.#socket(side).request(request);
    } catch (thrown) {
      if (!failedWith(thrown, ...fine)) throw thrown;
    }
  }
}
