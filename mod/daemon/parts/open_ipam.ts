/** Addresses: the allocator on this host's store, clock and mesh. */
import { AllocatorShell } from "../../ipam/allocator_shell.ts";
import { SystemAlarm } from "../../sys/clock.ts";
import type { Config } from "../config.ts";
import type { IpamConfig } from "../config_ipam.ts";
import { Addresses, type Ipam } from "../addresses.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";

/** Addresses of what is attached. Disposing it gives up what waits; addresses stay held. */
export interface IpamPart extends Disposable {
  /** Attaches with addresses. */
  readonly addresses: Addresses;
  /** undefined: allocation is off. */
  readonly ipam: Ipam | undefined;
}

/** Starts address allocation, and tells it what is attached already. */
export function openIpam(
  config: Pick<Config, "ipam" | "nickname">,
  { attached: { attachments, onForgotten }, base, mesh, state }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly mesh: RouterPart;
    readonly state: State;
  },
): IpamPart {
  const { clock, logger } = base;
  const ipam = config.ipam === undefined ? undefined : {
    shell: startAllocator({ ...config.ipam, nickname: config.nickname }, { base, mesh, state }),
    range: config.ipam.universe.cidr,
    subnet: config.ipam.subnet,
  };
  const addresses = new Addresses({ attachments, ipam, clock, logger });
  onForgotten.call = (target) => addresses.forgotten(target);
  addresses.reconcile();
  return { addresses, ipam, [Symbol.dispose]: () => ipam?.shell[Symbol.dispose]() };
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
