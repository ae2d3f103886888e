/** Which flows of containers are metered on their way to other hosts: those of frames for everybody or for a group. */
import { BROADCAST, isGroupMac } from "../core/addr.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import type { FlowAction, FlowKey } from "../wire/netlink/ovs_keys.ts";
import type { Meter } from "../wire/netlink/ovs_meter.ts";
import { BOUNDS } from "./group_frames.ts";

/** Ids of the meters of a port: for broadcasts, for groups. */
export function metersOf(inPort: number): readonly [number, number] {
  return [2 * inPort + 1, 2 * inPort + 2];
}

/** The port that a meter is of. */
export function portOfMeter(id: number): number {
  return (id - 1) >>> 1;
}

/** Two meters for each local port that needs them: broadcasts, and frames for groups. They stay, as ports come back. */
export class OvsMeters {
  /** Those that were tried, and whether the kernel has made them. */
  readonly #tried = new Map<number, boolean>();

  /** `make` has the kernel make a meter; false: it knows none. It throws if it cannot have this one. */
  constructor(readonly parts: { readonly make: (meter: Meter) => boolean; readonly log: Logger }) {}

  /** The meter that a flow's frames pass before they leave for other hosts; undefined: none. */
  of({ ethDst, inPort, sleeve, tunnel }: FlowKey, actions: readonly FlowAction[]): number | undefined {
    if (ethDst === undefined || !isGroupMac(ethDst) || tunnel !== undefined || sleeve !== undefined) {
      return undefined;
    }
    if (actions.every(({ kind }) => kind === "output")) return undefined;
    const isBroadcast = ethDst === BROADCAST;
    const id = metersOf(inPort)[isBroadcast ? 0 : 1];
    const made = this.#tried.get(id) ??
      this.#make({ id, perSecond: isBroadcast ? BOUNDS.broadcast : BOUNDS.group });
    return made ? id : undefined;
  }

  /** Has both meters of a port made again when they are needed next: they went with its interface. */
  forget(inPort: number): void {
    for (const id of metersOf(inPort)) this.#tried.delete(id);
  }

  #make(meter: Meter): boolean {
    const { log, make } = this.parts;
    let made = false;
    try {
      made = make(meter);
    } catch (thrown) { // newer kernels keep meters by id in a table, where another one may have the place
      log.debug("overlay/no-meter", { meter: meter.id, reason: messageOf(thrown) });
    }
    this.#tried.set(meter.id, made);
    return made;
  }
}
