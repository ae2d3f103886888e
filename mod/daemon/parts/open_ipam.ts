/** Addresses: the allocator on this host's store, clock and mesh. */
import { hostRoutes } from "../host/host_routes.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { type Exposed, interfaceWith, presentAddresses } from "../../attach/mod.ts";
import { type Cidr, macAt } from "../../core/addr.ts";
import { AllocatorShell } from "../../ipam/allocator_shell.ts";
import { SystemAlarm, Timers } from "../../sys/clock.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import type { Config } from "../config/config.ts";
import type { IpamConfig } from "../config/config_ipam.ts";
import { AddressUsers, probePatience } from "../addresses/address_users.ts";
import { Addresses, type Ipam } from "../addresses/addresses.ts";
import { RangeWatch } from "../addresses/range_watch.ts";
import { Exposing } from "../addresses/exposing.ts";
import type { Names } from "../names/names.ts";
import { UnusedAddresses } from "../addresses/unused_addresses.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { LoadedDataplane } from "./open_dataplane.ts";
import type { Host } from "./open_host.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";
import type { WhoIsHere } from "./open_taken.ts";

/** Routes are first looked at so long after the start, in milliseconds: no start waits for it. */
const FIRST_LOOK_MS = 1_000;

/** Addresses of what is attached. Disposing it gives up what waits; addresses stay held. */
export interface IpamPart extends Disposable {
  /** Attaches with addresses. */
  readonly addresses: Addresses;
  /** Exposes this host with addresses. */
  readonly exposing: Exposing;
  /** undefined: allocation is off. */
  readonly ipam: Ipam | undefined;
  /** Finds out who uses addresses. */
  readonly users: AddressUsers;
  /** Tells of routes into the range; undefined: there is none. */
  readonly rangeWatch: RangeWatch | undefined;
}

/** Starts address allocation, and tells it what is attached already. */
export function openIpam(
  config: Pick<Config, "firewall" | "ipam" | "nickname">,
  { attached, base, dataplane, exposed, here, host, mesh, names, state }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly dataplane: LoadedDataplane;
    readonly exposed: Exposed;
    readonly here: WhoIsHere["here"];
    readonly host: Host;
    readonly mesh: RouterPart;
    /** undefined: names are off. */
    readonly names: Names | undefined;
    readonly state: State;
  },
): IpamPart {
  const { attachments, onForgotten } = attached;
  const { clock, logger } = base;
  const timers = new Timers(base.faults);
  const users = openAddressUsers(config, { attached, base, dataplane, here, host, mesh, timers });
  const ipam = config.ipam === undefined ? undefined : allocation(
    { ...config.ipam, nickname: config.nickname },
    { base, mesh, state, users },
  );
  const addresses = new Addresses({
    ...{ attachments, ipam, names, users, clock, logger },
    routes: hostRoutes,
  });
  onForgotten.call = (target) => addresses.forgotten(target);
  addresses.reconcile();
  const exposing = new Exposing({
    ...{ exposed, ipam, names, users, clock, logger, attached: () => attachments.list() },
    limits: (masquerade) => limitsOf(config, masquerade),
  });
  exposing.reconcile();
  const rangeWatch = ipam && watchRange(ipam.range, { base, hooks: dataplane.hooks, timers });
  return {
    addresses,
    exposing,
    ipam,
    rangeWatch,
    users,
    [Symbol.dispose]() {
      timers[Symbol.dispose]();
      ipam?.shell[Symbol.dispose]();
    },
  };
}

/** Has routes looked at soon after the start, and whenever they have changed and somebody asks. */
function watchRange(
  range: Cidr,
  { base: { logger }, hooks, timers }: {
    readonly base: Base;
    readonly hooks: LoadedDataplane["hooks"];
    readonly timers: Timers;
  },
): RangeWatch {
  const watch = new RangeWatch({ range, routes: hostRoutes, logger });
  const before = hooks.onNetwork;
  hooks.onNetwork = (change) => {
    watch.changed();
    before(change);
  };
  timers.later("look at routes", FIRST_LOOK_MS, () => void watch.problems());
  return watch;
}

/** Why containers do not get beyond this host although it is exposed. */
function limitsOf({ firewall }: Pick<Config, "firewall">, masquerade: boolean): readonly string[] {
  if (!masquerade) return [];
  if (firewall !== "auto") {
    return [`No address is translated: this host runs with --firewall ${firewall}`];
  }
  if (new ProcSysctl(inNetns).read(undefined, "net/ipv4/ip_forward") !== "0") return [];
  return [
    "Containers reach this host, and nothing beyond it: net.ipv4.ip_forward is 0. To have it forward: " +
    "sysctl -w net.ipv4.ip_forward=1",
  ];
}

/** What finds out who uses an address already. */
function openAddressUsers(
  { nickname }: Pick<Config, "nickname">,
  {
    attached: { attachments },
    base: { clock, random },
    dataplane,
    here,
    host,
    mesh: { hostName, router },
    timers,
  }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly dataplane: LoadedDataplane;
    readonly here: WhoIsHere["here"];
    readonly host: Host;
    readonly mesh: RouterPart;
    readonly timers: Timers;
  },
): AddressUsers {
  const octets = random.bytes(6);
  octets[0] = (octets[0]! & 0xfe) | 2; // locally administered, not a group
  const mac = macAt(octets, 0);
  const users = new AddressUsers({
    ask: (ip) => dataplane.handle.whoHas(ip, mac),
    interfaceWith(ip) {
      using socket = host.openRoute();
      return interfaceWith(socket, ip);
    },
    presentAddresses: (target) => presentAddresses(attachments, target),
    named: (mac) => here().find((one) => one.mac === mac)?.target,
    ...{ nickname, hostName },
    patience() {
      const { connections } = router.snapshot();
      const established = connections.filter(({ state }) => state === "established");
      if (established.length === 0 && attachments.remembered().length === 0) return undefined;
      return probePatience(established.map(({ rttMs }) => rttMs));
    },
    now: () => clock.now(),
    later: (ms, work) => timers.later("ask who uses an address", ms, work),
  });
  dataplane.hooks.onAddressUsed = (use) => users.heard(use);
  return users;
}

function allocation(
  options: IpamConfig & { readonly nickname: string },
  { base, mesh, state, users }: {
    readonly base: Base;
    readonly mesh: RouterPart;
    readonly state: State;
    readonly users: AddressUsers;
  },
): Ipam {
  const shell = startAllocator(options, { base, mesh, state });
  const { subnet, universe } = options;
  const unused = new UnusedAddresses({ shell, users, logger: base.logger });
  return { shell, unused, universe, range: universe.cidr, subnet };
}

function startAllocator(
  { nickname, subnet: _, ...options }: IpamConfig & { readonly nickname: string },
  { base: { clock, faults, logger, random }, mesh: { router, uid }, state: { identity, store } }: {
    readonly base: Base;
    readonly mesh: RouterPart;
    readonly state: State;
  },
): AllocatorShell {
  const shell = new AllocatorShell({
    ...{ ...options, self: identity.name, nickname, uid },
    ...{ clock, random, store, logger, faults },
    alarm: new SystemAlarm(clock, faults),
    wallSeconds: () => Math.floor(Date.now() / 1_000),
    gossip: router,
    expected: () => router.expectedPeers(),
  });
  router.register(shell.channel);
  shell.start();
  router.watchReachable((peers) => shell.meshChanged(peers));
  return shell;
}
