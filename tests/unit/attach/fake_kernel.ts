/** A kernel behind NetlinkSocket: network namespaces with veth pairs, addresses and routes, spoken to in bytes. */
import {
  type Cidr,
  formatCidr,
  formatMac,
  type Ip,
  macAt,
  macToBytes,
  parseCidr,
  parseMac,
} from "../../../mod/core/addr.ts";
import { ipFromBytes, ipToBytes, isIpv4 } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { NetlinkSocket } from "../../../mod/core/ports.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import {
  attributesOf,
  fakeSocket,
  headOf,
  linkMessage,
  refusal,
  textOf,
  u32Of,
  viewOf,
} from "../kernel_messages.ts";

/** An interface. */
export interface FakeLink {
  readonly index: number;
  name: string;
  mtu: number;
  mac: string;
  up: boolean;
  kind: string | undefined;
  peer: FakeLink | undefined;
  readonly addresses: string[];
  readonly routes: string[];
  /** `address MAC`. */
  readonly neighbours: string[];
  /** By key with `IF` for the interface's name. */
  readonly sysctls: Map<string, string>;
}
type Namespace = Map<number, FakeLink>;

/** All namespaces of one machine; "" is the daemon's own. */
export class FakeKernel {
  readonly namespaces = new Map<string, Namespace>([["", new Map()]]);
  /** Names of interfaces that are ports of the switch: of `switchPorts`, or of the bridge where there is one. */
  readonly ports = new Set<string>();
  /** Those of them that pass on frames to reserved groups. */
  readonly passesReserved = new Set<string>();
  /** Frames sent, as `namespace interface`. */
  readonly announced: string[] = [];
  /** Open sockets. */
  sockets = 0;
  /** Changes asked for so far, failed ones included. */
  changes = 0;
  /** The change with this number fails with EIO; Infinity: none. */
  failAt = Infinity;
  /** Values of settings on new links. */
  readonly defaults: Record<string, string> = {
    "net/ipv6/conf/IF/disable_ipv6": "0",
    "net/ipv6/conf/IF/accept_ra": "1",
    "net/ipv4/conf/IF/promote_secondaries": "0",
    "net/ipv4/neigh/IF/base_reachable_time_ms": "30000",
    "net/ipv4/neigh/IF/delay_first_probe_time": "5",
    "net/ipv4/neigh/IF/ucast_solicit": "3",
    "net/ipv6/neigh/IF/base_reachable_time_ms": "30000",
    "net/ipv6/neigh/IF/delay_first_probe_time": "5",
    "net/ipv6/neigh/IF/ucast_solicit": "3",
  };
  #nextIndex = 1;

  /** Everything there is, but numbers that differ from run to run. */
  snapshot(): string {
    const links = [...this.namespaces].map(([path, namespace]) => [
      path,
      [...namespace.values()].map((link) => ({
        ...link,
        index: 0,
        peer: link.peer?.name,
        sysctls: [...link.sysctls],
        addresses: [...link.addresses].sort(),
      })).sort((a, b) => a.name < b.name ? -1 : 1),
    ]);
    const ports = [...this.ports].sort().map((name) => [name, this.passesReserved.has(name)]);
    return JSON.stringify({ links, ports }, null, 1);
  }

  /** The link of that name. */
  link(path: string, name: string): FakeLink | undefined {
    return [...this.namespaces.get(path)?.values() ?? []].find((link) => link.name === name);
  }

  /** Makes a link from outside. */
  add(path: string, name: string, kind?: string): FakeLink {
    const link: FakeLink = {
      index: this.#nextIndex++,
      name,
      mtu: 1500,
      mac: "02:00:00:00:00:ff",
      up: false,
      kind,
      peer: undefined,
      addresses: [],
      routes: [],
      neighbours: [],
      sysctls: new Map(Object.entries(this.defaults)),
    };
    this.namespaces.get(path)!.set(link.index, link);
    return link;
  }

  /** Sets a link up or down; routes do not survive the latter. */
  setUp(link: FakeLink, up: boolean): void {
    link.up = up;
    if (!up) link.routes.length = link.neighbours.length = 0;
  }

  /** Removes a link and its other end. */
  delete(link: FakeLink): void {
    for (const gone of [link, link.peer]) {
      if (gone === undefined) continue;
      for (const namespace of this.namespaces.values()) {
        if (namespace.get(gone.index) === gone) namespace.delete(gone.index);
      }
      this.ports.delete(gone.name);
      this.passesReserved.delete(gone.name);
    }
  }

  /** The bridge that ports are of; undefined where the switch is none. */
  get #bridge(): FakeLink | undefined {
    return [...this.namespaces.get("")!.values()].find((link) => link.kind === "bridge");
  }

  /** Called when a change fails. */
  onFailure: () => void = () => {};

  /** Counts a change, and fails it if it is its turn. */
  change(): void {
    if (this.changes++ !== this.failAt) return;
    this.onFailure();
    throw refusal(ERRNO.EIO);
  }

  /** Opens an rtnetlink socket. */
  open(path: string | undefined): NetlinkSocket {
    const namespace = this.namespaces.get(path ?? "");
    if (namespace === undefined) throw refusal(ERRNO.ENOENT);
    const answer = (message: Uint8Array) => this.#request(path ?? "", namespace, message);
    return fakeSocket(answer, { count: (by) => this.sockets += by });
  }

  /** Ports of the switch. */
  readonly switchPorts = {
    has: (name: string) => this.ports.has(name),
    add: (name: string) => {
      this.change();
      if (this.link("", name) === undefined) throw refusal(ERRNO.ENODEV);
      this.ports.add(name);
    },
    remove: (name: string) => {
      this.change();
      this.ports.delete(name);
    },
  };

  /** Settings of links. */
  readonly sysctl = {
    read: (path: string | undefined, key: string) =>
      this.#setting(path, key)?.[0].sysctls.get(this.#setting(path, key)![1]),
    write: (path: string | undefined, key: string, value: string) => {
      this.change();
      const [link, general] = this.#setting(path, key)!;
      link.sysctls.set(general, value);
    },
  };

  #setting(path: string | undefined, key: string): [FakeLink, string] | undefined {
    const parts = key.split("/");
    const link = this.link(path ?? "", parts[3]!);
    parts[3] = "IF";
    return link && [link, parts.join("/")];
  }

  #request(path: string, namespace: Namespace, message: Uint8Array): Uint8Array[] {
    const { body, create, dump, type } = headOf(message);
    const bodyView = viewOf(body);
    const index = bodyView.getInt32(4, true);
    const byIndex = (at: number) => {
      const link = namespace.get(at);
      if (link === undefined) throw refusal(ERRNO.ENODEV);
      return link;
    };
    const attributes = (from: number) => attributesOf(body, from);
    const addressOf = (bytes: Uint8Array, prefix: number): Cidr => ({ ip: ipFromBytes(bytes)!, prefix });
    switch (type) {
      case 16: {
        this.change();
        const found = attributes(16);
        if (create) return this.#newPair(path, found);
        const link = byIndex(index);
        if (found.has(3)) {
          if (link.up) throw refusal(ERRNO.EBUSY);
          link.name = textOf(found.get(3)!);
        }
        if (found.has(4)) link.mtu = u32Of(found.get(4)!);
        if (found.has(10)) this.#setMaster(link, u32Of(found.get(10)!));
        if ((bodyView.getUint32(12, true) & 1) !== 0) {
          this.setUp(link, (bodyView.getUint32(8, true) & 1) !== 0);
        }
        return [];
      }
      case 17:
        this.change();
        this.delete(byIndex(index));
        return [];
      case 18: {
        if (dump) return [...namespace.values()].map((link) => this.#encodeLink(namespace, link));
        const name = attributes(16).get(3);
        const link = name === undefined ? namespace.get(index) : this.link(path, textOf(name));
        if (link === undefined) throw refusal(ERRNO.ENODEV);
        return [this.#encodeLink(namespace, link)];
      }
      case 19: {
        this.change();
        if (!attributesOf(attributes(16).get(12)!, 0).has(31)) throw refusal(ERRNO.EOPNOTSUPP);
        this.passesReserved.add(byIndex(index).name);
        return [];
      }
      case 20:
      case 21: {
        this.change();
        const { addresses } = byIndex(index);
        const cidr = formatCidr(addressOf(attributes(8).get(2)!, body[1]!));
        const has = addresses.includes(cidr);
        if (type === 20 && has) throw refusal(ERRNO.EEXIST);
        if (type === 21 && !has) throw refusal(ERRNO.EADDRNOTAVAIL);
        if (type === 20) addresses.push(cidr);
        else addresses.splice(addresses.indexOf(cidr), 1);
        return [];
      }
      case 22:
        return [...namespace.values()].flatMap((link) =>
          link.addresses.map((a) => encodeAddress(link, parseCidr(a)!))
        );
      case 24: {
        this.change();
        const found = attributes(12);
        const link = byIndex(u32Of(found.get(4)!));
        if (!link.up) throw refusal(ERRNO.ENETDOWN);
        const route = formatCidr(addressOf(found.get(1)!, body[1]!));
        if (link.routes.includes(route)) throw refusal(ERRNO.EEXIST);
        link.routes.push(route);
        return [];
      }
      case 25: {
        this.change();
        const found = attributes(12);
        const { routes } = byIndex(u32Of(found.get(4)!));
        const at = routes.indexOf(formatCidr(addressOf(found.get(1)!, body[1]!)));
        if (at < 0) throw refusal(ERRNO.ESRCH);
        routes.splice(at, 1);
        return [];
      }
      case 28: {
        this.change();
        const found = attributes(12);
        const { neighbours, up } = byIndex(index);
        if (!up) throw refusal(ERRNO.ENETDOWN);
        const [ip, mac] = [found.get(1)!, found.get(2)!];
        neighbours.splice(0, neighbours.length, `${ipFromBytes(ip)} ${formatMac(macAt(mac, 0))}`);
        return [];
      }
      case 30:
        return [...namespace.values()].flatMap((link) =>
          link.neighbours.map((one) => encodeNeighbour(link, one))
        );
      case 26:
        return [...namespace.values()].flatMap((link) => link.routes.map((r) => encodeRoute(link, r)));
      default:
        throw refusal(ERRNO.EOPNOTSUPP);
    }
  }

  #setMaster(link: FakeLink, master: number): void {
    this.passesReserved.delete(link.name);
    if (master === 0) return void this.ports.delete(link.name);
    if (this.namespaces.get("")!.get(master)?.kind !== "bridge") throw refusal(ERRNO.EOPNOTSUPP);
    this.ports.add(link.name);
  }

  #newPair(path: string, found: ReadonlyMap<number, Uint8Array>): Uint8Array[] {
    const data = attributesOf(attributesOf(found.get(18)!, 0).get(2)!, 0);
    const other = attributesOf(data.get(1)!, 16);
    const ends = [[path, found], [other.has(19) ? "" : path, other]] as const;
    for (const [where, end] of ends) {
      if (this.link(where, textOf(end.get(3)!)) !== undefined) throw refusal(ERRNO.EEXIST);
    }
    const [one, two] = ends.map(([where, end]) => {
      const link = this.add(where, textOf(end.get(3)!), "veth");
      link.mtu = u32Of(end.get(4)!);
      if (end.has(1)) link.mac = formatMac(macAt(end.get(1)!, 0));
      return link;
    });
    one!.peer = two;
    two!.peer = one;
    return [];
  }

  #encodeLink(namespace: Namespace, link: FakeLink): Uint8Array {
    const { peer } = link;
    const away = peer !== undefined && namespace.get(peer.index) !== peer;
    return linkMessage({
      ...link,
      mac: macToBytes(parseMac(link.mac)!),
      peer: peer && { index: peer.index, away },
      master: this.ports.has(link.name) ? this.#bridge?.index : undefined,
      ...this.#bridge === undefined ? {} : { passesReserved: this.passesReserved.has(link.name) },
    });
  }
}

function encodeAddress(link: FakeLink, cidr: Cidr): Uint8Array {
  const writer = new NetlinkWriter().begin(20, 0).u8(isIpv4(cidr.ip) ? 2 : 10).u8(cidr.prefix).u8(0x80).u8(0);
  return writer.u32(link.index).attrBytes(1, ipToBytes(cidr.ip)).end().finish();
}

function encodeNeighbour(link: FakeLink, neighbour: string): Uint8Array {
  const [ip, mac] = neighbour.split(" ");
  const writer = new NetlinkWriter().begin(28, 0).u32(2).u32(link.index).u16(0x80).u16(0);
  return writer.attrBytes(1, ipToBytes(ip as Ip)).attrBytes(2, macToBytes(parseMac(mac!)!)).end().finish();
}

/** `address/prefix`, or with ` via` behind it for a route to a router. */
function encodeRoute(link: FakeLink, route: string): Uint8Array {
  const [network, via] = route.split(" ");
  const cidr = parseCidr(network!)!;
  const writer = new NetlinkWriter().begin(24, 0).u8(isIpv4(cidr.ip) ? 2 : 10).u8(cidr.prefix).u8(0).u8(0);
  writer.u8(254).u8(2).u8(253).u8(1).u32(0);
  if (cidr.prefix > 0) writer.attrBytes(1, ipToBytes(cidr.ip));
  if (via !== undefined) writer.attrBytes(5, ipToBytes(cidr.ip));
  return writer.attrU32(4, link.index).end().finish();
}
