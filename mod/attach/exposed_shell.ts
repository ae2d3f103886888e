/** This host's own place in the network: its addresses on the switch's own leg. */
import { type Cidr, cidrContains, formatCidr, isIpv4, parseCidr } from "../core/addr.ts";
import { ERRNO } from "../core/errno.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Logger, NetlinkSocket, Store } from "../core/ports.ts";
import * as rt from "../wire/netlink/rtnetlink.ts";
import { gratuitousArp } from "../wire/packet/arp.ts";
import type { Sysctl } from "./adapters.ts";
import { mergeAddresses } from "./address.ts";
import { checkConflicts } from "./conflict.ts";
import {
  decodeExposed,
  encodeExposed,
  EXPOSED_KEY,
  type ExposedAddress,
  exposedNetworks,
  type ExposedRecord,
  NOT_EXPOSED,
  planExposed,
  withExposed,
  withoutExposed,
} from "./exposed.ts";
import { failedWith, findLink, listLinks, sure } from "./links_shell.ts";

/** When an address is announced again after it was added. */
const ANNOUNCE_AGAIN_MS = [200, 1000] as const;
const LINK_LOCAL = parseCidr("fe80::/10")!;

/** Settings of the leg. The first keeps other addresses of a network when one goes. The others keep out what does not
 * belong to an exposed network, and keep addresses that this host has elsewhere to itself. */
const SETTINGS: readonly (readonly [key: string, value: string])[] = [
  ["promote_secondaries", "1"],
  ["rp_filter", "1"],
  ["arp_ignore", "1"],
  ["arp_announce", "2"],
];

/** What exposing is made of. */
export interface ExposedParts {
  /** Name of the switch's own leg. */
  readonly leg: string;
  readonly store: Store;
  /** An rtnetlink socket of the host's namespace, borrowed. */
  readonly host: NetlinkSocket;
  readonly sysctl: Pick<Sysctl, "read" | "write">;
  /** Has the leg take part in the network, or not; resolves when it does. */
  readonly setLeg: (open: boolean) => Promise<void>;
  /** Lets these networks through this host's firewall, and no others; those that are exposed at the start are known
   * already. */
  readonly letThrough: (networks: ReturnType<typeof exposedNetworks>) => void;
  /** Sends whole frames out of the leg. */
  readonly sendFrames: (frames: readonly Uint8Array<ArrayBuffer>[]) => void;
  readonly later: (ms: number, work: () => void) => void;
  readonly log: Logger;
}

/** The exposed addresses of this host. Disposing it ends looking after them; they stay. */
export class Exposed implements Disposable {
  readonly #parts: ExposedParts;
  #record: ExposedRecord = NOT_EXPOSED;
  #over = false;
  #problem: string | undefined;

  /** Reads what is remembered; call keep() next. */
  constructor(parts: ExposedParts) {
    this.#parts = parts;
    const decoded = decodeExposed(parts.store.get(EXPOSED_KEY));
    if (decoded.ok) this.#record = decoded.value;
    else parts.log.error("exposed-unreadable", { key: EXPOSED_KEY, reason: decoded.reason });
  }

  /** What is exposed. */
  get addresses(): readonly ExposedAddress[] {
    return this.#record.addresses;
  }

  /** Whether there is something to look after. */
  get any(): boolean {
    return this.#record.addresses.length + this.#record.leaving.length > 0;
  }

  /** Why it does not work, a sentence without full stop. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Throws where addresses cannot be exposed; returns warnings. Changes nothing. */
  check(cidrs: readonly Cidr[]): readonly string[] {
    const ipv6 = cidrs.find(({ ip }) => !isIpv4(ip));
    if (ipv6 !== undefined) {
      throw new MeshnetError(
        "usage/bad-address",
        `Cannot expose ${formatCidr(ipv6)}: only IPv4 addresses can be exposed so far`,
        { hint: "Give for example 10.32.1.1/24" },
      );
    }
    mergeAddresses(this.addresses.map(({ cidr }) => cidr), cidrs);
    const fresh = cidrs.filter(({ ip }) => !this.addresses.some(({ cidr }) => cidr.ip === ip));
    withExposed(this.#record, cidrs, true);
    return checkConflicts((text) => `expose ${text}`, fresh, this.#otherNetworks());
  }

  /** Exposes addresses. What fails leaves all as it was. */
  async expose(cidrs: readonly Cidr[], masquerade: boolean): Promise<void> {
    await this.#become(withExposed(this.#record, cidrs, masquerade));
  }

  /** Takes addresses away again. */
  async hide(cidrs: readonly Cidr[]): Promise<void> {
    await this.#become(withoutExposed(this.#record, cidrs));
  }

  async #become(wanted: ExposedRecord): Promise<void> {
    const { letThrough, setLeg } = this.#parts;
    const before = this.#record;
    const leaves = wanted.addresses.length === 0 && before.addresses.length > 0;
    this.#save(wanted); // first: a crash from here on is completed by keep()
    try {
      if (!leaves) await setLeg(wanted.addresses.length > 0);
      this.#keep();
      letThrough(exposedNetworks(wanted.addresses));
      if (leaves) await setLeg(false);
    } catch (thrown) {
      const had = (cidr: Cidr) => before.addresses.some((one) => one.cidr.ip === cidr.ip);
      const fresh = wanted.addresses.map(({ cidr }) => cidr).filter((cidr) => !had(cidr));
      this.#save({ addresses: before.addresses, leaving: [...before.leaving, ...fresh] });
      this.keep();
      letThrough(exposedNetworks(before.addresses));
      await setLeg(before.addresses.length > 0);
      throw thrown;
    }
  }

  #save(record: ExposedRecord): void {
    this.#parts.store.putAll([[EXPOSED_KEY, encodeExposed(record)]]);
    this.#record = record;
  }

  /** Makes the kernel agree with what is remembered; the firewall looks after itself. Does not throw. */
  keep(): void {
    if (this.#over || !this.any) return;
    const { log } = this.#parts;
    try {
      const added = this.#keep();
      if (added.length > 0) log.info("this host has its addresses in the network again", texts(added));
    } catch (thrown) {
      const reason = messageOf(thrown);
      if (reason !== this.#problem) {
        log.warn("this host cannot have its addresses in the network", { reason });
      }
      this.#problem = reason;
    }
  }

  #keep(): readonly Cidr[] {
    const { host, leg } = this.#parts;
    const { addresses } = this.#record;
    const link = findLink(host, leg);
    if (link === undefined) {
      throw new MeshnetError("netlink/request-failed", `Interface ${leg} has gone; it is made again`);
    }
    if (addresses.length > 0) this.#set();
    const has = this.#addressesOf(link.index);
    const { add, remove } = planExposed(this.#record, has);
    for (const cidr of add) this.#request(rt.addAddress(link.index, cidr), ERRNO.EEXIST);
    for (const cidr of remove) this.#request(rt.removeAddress(link.index, cidr), ERRNO.EADDRNOTAVAIL);
    if (this.#record.leaving.length > 0) this.#save({ addresses, leaving: [] });
    this.#problem = undefined;
    this.#announce(add);
    return add;
  }

  #set(): void {
    const { leg, log, sysctl } = this.#parts;
    for (const [name, value] of SETTINGS) {
      const key = `net/ipv4/conf/${leg}/${name}`;
      try {
        const now = sysctl.read(undefined, key);
        if (now !== undefined && now !== value) sysctl.write(undefined, key, value);
      } catch (thrown) { // /proc/sys may be read-only
        log.debug("exposed-setting", { key, reason: messageOf(thrown) });
      }
    }
  }

  #announce(cidrs: readonly Cidr[]): void {
    const { host, later, leg, log, sendFrames } = this.#parts;
    if (cidrs.length === 0) return;
    const announce = () => {
      const mac = this.#over ? undefined : findLink(host, leg)?.mac;
      const still = cidrs.filter(({ ip }) => this.addresses.some(({ cidr }) => cidr.ip === ip));
      if (mac === undefined || still.length === 0) return;
      try {
        sendFrames(still.map(({ ip }) => gratuitousArp(mac, ip)));
      } catch (thrown) {
        log.debug("announce-failed", { interface: leg, reason: messageOf(thrown) });
      }
    };
    announce();
    for (const ms of ANNOUNCE_AGAIN_MS) later(ms, announce);
  }

  #request(request: Uint8Array<ArrayBuffer>, ...fine: readonly number[]): void {
    try {
      this.#parts.host.request(request);
    } catch (thrown) {
      if (!failedWith(thrown, ...fine)) throw thrown;
    }
  }

  #addresses(): readonly rt.InterfaceAddress[] {
    return this.#parts.host.request(rt.dumpAddresses()).map((reply) => sure(rt.decodeAddress(reply)))
      .filter(({ cidr }) => !cidrContains(LINK_LOCAL, cidr.ip));
  }

  #addressesOf(index: number): readonly Cidr[] {
    return this.#addresses().filter((one) => one.index === index).map(({ cidr }) => cidr);
  }

  #otherNetworks() {
    const { host, leg } = this.#parts;
    const names = new Map(listLinks(host).map(({ index, name }) => [index, name]));
    const nameOf = (index: number) => names.get(index) ?? `number ${index}`;
    const routes = host.request(rt.dumpRoutes()).map((reply) => sure(rt.decodeRoute(reply)))
      .filter(({ table, type }) => table === rt.MAIN_TABLE && type === rt.ROUTE_TYPE.unicast);
    return {
      addresses: this.#addresses().map(({ cidr, index }) => ({ name: nameOf(index), cidr }))
        .filter(({ name }) => name !== leg),
      routes: routes.flatMap(({ destination, interfaces, viaGateway }) =>
        interfaces.map((index) => ({ name: nameOf(index), destination, viaGateway }))
      ).filter(({ name }) => name !== leg),
    };
  }

  /** See the class. */
  [Symbol.dispose](): void {
    this.#over = true;
  }
}

function texts(cidrs: readonly Cidr[]): { readonly addresses: string } {
  return { addresses: cidrs.map(formatCidr).join(" ") };
}
