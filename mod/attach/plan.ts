/** What has to change so that one namespace hangs on the network as wanted. Pure: planning again after the steps
 * were carried out gives no steps, so attaching, repairing and adopting are one code path. */
import { type Cidr, isIpv4, type Mac } from "../core/addr.ts";
import { temporaryName } from "./names.ts";
import type { PlannedStep, Side, Step } from "./step.ts";

/** How one attachment should be. */
export interface Wanted {
  /** The end on the host, a port of the switch. */
  readonly hostName: string;
  /** The end in the target. */
  readonly name: string;
  readonly mtu: number;
  /** undefined: whatever the kernel draws. */
  readonly mac: Mac | undefined;
  /** At least one. */
  readonly addresses: readonly Cidr[];
  /** Whether multicast leaves through the interface. */
  readonly multicastRoute: boolean;
  /** Whether it leads to the name server of this host. */
  readonly nameServer: boolean;
}

/** How it is. */
export interface Present {
  /** The link that carries the host end's name. */
  readonly host: PresentHost | undefined;
  /** The link that carries the interface's name in the target; only ever our own, the other end of `host`. */
  readonly guest: PresentGuest | undefined;
  /** Whether an unfinished interface of ours lies in the target. */
  readonly leftover: boolean;
  /** Values below /proc/sys as `side:key`; keys that the kernel lacks are left out. */
  readonly sysctls: ReadonlyMap<string, string>;
}

/** The host end as it is. */
export interface PresentHost {
  readonly mtu: number;
  readonly up: boolean;
  readonly isPort: boolean;
}

/** The interface in the target as it is. */
export interface PresentGuest {
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly Cidr[];
  readonly hasMulticastRoute: boolean;
  /** Whether the route to the name server is there, and whether its Ethernet address is known. */
  readonly nameServer: { readonly route: boolean; readonly neighbour: boolean };
}

/** A value below /proc/sys that an attachment needs. */
export interface WantedSysctl {
  readonly side: Side;
  readonly key: string;
  readonly value: string;
}

/** Where `Present.sysctls` keeps the value of a setting. */
export function sysctlId(setting: { readonly side: Side; readonly key: string }): string {
  return `${setting.side}:${setting.key}`;
}

/** The settings of both ends, the interface in the target being called `name`. */
export function wantedSysctls(wanted: Wanted, name = wanted.name): readonly WantedSysctl[] {
  const families = wanted.addresses.some((cidr) => !isIpv4(cidr.ip)) ? ["ipv4", "ipv6"] : ["ipv4"];
  const target = (key: string, value: number): WantedSysctl => ({
    side: "target",
    key,
    value: String(value),
  });
  return [
    // The host end only passes frames on: without this it would send router solicitations to the container.
    { side: "host", key: `net/ipv6/conf/${wanted.hostName}/disable_ipv6`, value: "1" },
    target(`net/ipv6/conf/${name}/accept_ra`, 0),
    ...(families.length === 2 ? [target(`net/ipv6/conf/${name}/disable_ipv6`, 0)] : []),
    // Without this the kernel removes all addresses of a subnet with the first one.
    target(`net/ipv4/conf/${name}/promote_secondaries`, 1),
    // Containers notice quickly when an address has moved to another MAC (spec dataplane.md 7.2).
    ...families.flatMap((family) => [
      target(`net/${family}/neigh/${name}/base_reachable_time_ms`, 5000),
      target(`net/${family}/neigh/${name}/delay_first_probe_time`, 2),
      target(`net/${family}/neigh/${name}/ucast_solicit`, 1),
    ]),
  ];
}

function equalCidr(a: Cidr, b: Cidr): boolean {
  return a.ip === b.ip && a.prefix === b.prefix;
}

/** Steps to the wanted state. Steps that only touch a new pair need no undo: removing the pair takes them back. */
export function planAttach(wanted: Wanted, present: Present): readonly PlannedStep[] {
  return present.host !== undefined && present.guest !== undefined
    ? repair(wanted, present.host, present.guest, present.sysctls)
    : build(wanted, present);
}

/** Makes everything anew. The interface gets its name in the target when it is all but up. */
function build(wanted: Wanted, present: Present): readonly PlannedStep[] {
  const { hostName, name, mtu, mac, addresses } = wanted;
  const temporary = temporaryName(hostName);
  const planned: PlannedStep[] = [];
  const add = (step: Step, undo?: Step) => planned.push({ step, undo });
  if (present.host !== undefined) add({ kind: "delete-link", side: "host", name: hostName });
  if (present.leftover) add({ kind: "delete-link", side: "target", name: temporary });
  add(
    { kind: "create-pair", name: temporary, hostName, mtu, mac },
    { kind: "delete-link", side: "host", name: hostName },
  );
  for (const setting of wantedSysctls(wanted, temporary)) add({ kind: "set-sysctl", ...setting });
  add({ kind: "add-port", name: hostName }, { kind: "remove-port", name: hostName });
  add({ kind: "set-up", side: "host", name: hostName, up: true });
  // Renaming an interface gives all its IPv4 addresses but the first a label of its own, so those come after.
  const first = addresses.find((cidr) => isIpv4(cidr.ip));
  const early = addresses.filter((cidr) => cidr === first || !isIpv4(cidr.ip));
  for (const cidr of early) add({ kind: "add-address", name: temporary, cidr });
  add({ kind: "rename-link", side: "target", name: temporary, to: name });
  for (const cidr of addresses) if (!early.includes(cidr)) add({ kind: "add-address", name, cidr });
  add({ kind: "set-up", side: "target", name, up: true });
  if (wanted.multicastRoute) add({ kind: "add-multicast-route", name });
  if (wanted.nameServer) add({ kind: "add-name-server", name });
  add({ kind: "announce", name, addresses, nameServer: wanted.nameServer });
  return planned;
}

/** Changes what differs. The order sees to it that the interface never has more than it can use. */
function repair(
  wanted: Wanted,
  host: PresentHost,
  guest: PresentGuest,
  sysctls: Present["sysctls"],
): readonly PlannedStep[] {
  const { hostName, name, mtu } = wanted;
  const planned: PlannedStep[] = [];
  const add = (step: Step, undo?: Step) => planned.push({ step, undo });
  for (const setting of wantedSysctls(wanted)) {
    const now = sysctls.get(sysctlId(setting));
    if (now === undefined || now === setting.value) continue;
    add({ kind: "set-sysctl", ...setting }, { kind: "set-sysctl", ...setting, value: now });
  }
  const setMtu = (side: Side, link: string, now: number) => {
    if (now === mtu) return;
    add({ kind: "set-mtu", side, name: link, mtu }, { kind: "set-mtu", side, name: link, mtu: now });
  };
  setMtu("host", hostName, host.mtu);
  setMtu("target", name, guest.mtu);
  if (!host.isPort) add({ kind: "add-port", name: hostName }, { kind: "remove-port", name: hostName });
  if (!host.up) {
    const link = { kind: "set-up", side: "host", name: hostName } as const;
    add({ ...link, up: true }, { ...link, up: false });
  }
  const missing = wanted.addresses.filter((cidr) => !guest.addresses.some((has) => equalCidr(has, cidr)));
  for (const cidr of missing) {
    add({ kind: "add-address", name, cidr }, { kind: "remove-address", name, cidr });
  }
  if (!guest.up) {
    const link = { kind: "set-up", side: "target", name } as const;
    add({ ...link, up: true }, { ...link, up: false });
  }
  // The kernel takes routes away when a link goes down. Added last, so undoing never has to remove it.
  if (wanted.multicastRoute && (!guest.hasMulticastRoute || !guest.up)) {
    add({ kind: "add-multicast-route", name });
  }
  const { neighbour, route } = guest.nameServer;
  if (wanted.nameServer && !(guest.up && route && neighbour)) add({ kind: "add-name-server", name });
  if (!wanted.nameServer && route) add({ kind: "remove-name-server", name });
  const announced = guest.up && host.up && host.isPort ? missing : wanted.addresses;
  if (announced.length > 0) {
    add({ kind: "announce", name, addresses: announced, nameServer: wanted.nameServer });
  }
  return planned;
}

/** Steps that take addresses away, or with none left the whole attachment. */
export function planDetach(
  wanted: Omit<Wanted, "addresses">,
  present: Present,
  addresses: { readonly removed: readonly Cidr[]; readonly left: readonly Cidr[] },
): readonly PlannedStep[] {
  const { hostName, name } = wanted;
  if (addresses.left.length > 0) {
    const has = present.guest?.addresses ?? [];
    return addresses.removed.filter((cidr) => has.some((other) => equalCidr(other, cidr))).map((cidr) => ({
      step: { kind: "remove-address", name, cidr },
      undo: { kind: "add-address", name, cidr },
    }));
  }
  if (present.host === undefined) return [];
  const planned: PlannedStep[] = [];
  if (present.host.isPort) {
    planned.push({
      step: { kind: "remove-port", name: hostName },
      undo: { kind: "add-port", name: hostName },
    });
  }
  planned.push({ step: { kind: "delete-link", side: "host", name: hostName }, undo: undefined });
  return planned;
}
