/** Addresses: the allocator on this host's store, clock and mesh. */
import { AllocatorShell } from "../../ipam/allocator_shell.ts";
import { SystemAlarm } from "../../sys/clock.ts";
import type { Config } from "../config.ts";
import type { Base } from "./open_base.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";

/** Starts address allocation; undefined where it is off. Disposing it gives up what waits; addresses stay held. */
export function openIpam(
  config: Pick<Config, "ipam" | "nickname">,
  { base: { clock, faults, logger, random }, mesh: { router, uid }, state: { identity, store } }: {
    readonly base: Base;
    readonly mesh: RouterPart;
    readonly state: State;
  },
): AllocatorShell | undefined {
  if (config.ipam === undefined) return undefined;
  const { init, universe } = config.ipam;
  const shell = new AllocatorShell({
    ...{ universe, init, self: identity.name, nickname: config.nickname, uid },
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
