/** Which flows of containers are metered on their way to other hosts: those of frames for everybody or for a group. */
import { BROADCAST, isGroupMac } from "../core/addr.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import type { FlowAction, FlowKey } from "../wire/netlink/ovs_keys.ts";
import type { Meter } from "../wire/netlink/ovs_meter.ts";
import { BOUNDS } from "./group_frames.ts";

/** Two meters for each local port that needs them: broadcasts, and frames for groups. They stay, as ports come back. */
export class OvsMeters {
  readonly #made = new Set<number>();
  #refused = false;

  /** `make` has the kernel make a meter; it throws if it cannot. */
  constructor(readonly parts: { readonly make: (meter: Meter) => void; readonly log: Logger }) {}

  /** The meter that a flow's frames pass before they leave for other hosts; undefined: none. */
  of({ ethDst, inPort, sleeve, tunnel }: FlowKey, actions: readonly FlowAction[]): number | undefined {
    if (ethDst === undefined || !isGroupMac(ethDst) || tunnel !== undefined || sleeve !== undefined) {
      return undefined;
    }
    if (this.#refused || actions.every(({ kind }) => kind === "output")) return undefined;
    const isBroadcast = ethDst === BROADCAST;
    const id = 2 * inPort + (isBroadcast ? 1 : 2);
    if (this.#made.has(id)) return id;
    try {
      this.parts.make({ id, perSecond: isBroadcast ? BOUNDS.broadcast : BOUNDS.group });
    } catch (thrown) { // an old kernel
      this.#refused = true;
      this.parts.log.debug("overlay/no-meters", { reason: messageOf(thrown) });
      return undefined;
    }
    this.#made.add(id);
    return id;
  }
}
