/** Misses that wait for the core. They are read faster than they are decided, so that what has a flow does not wait behind
 * them, and each place has its turn: a flood delays and loses frames of its own place alone. */
import { FairQueue } from "../core/fair_queue.ts";
import type { FlowKey, Miss } from "../wire/netlink/ovs_keys.ts";
import { loopProbeAt } from "../wire/packet/loop_probe.ts";
import { vniSource } from "../wire/packet/vxlan.ts";

/** Packets that are read in one round at most: more than are decided. */
export const READ_PACKETS = 256;
/** Misses that are decided in one round: links, timers and packets that have a flow come in between. */
export const DECIDED_MISSES = 64;
/** Octets of all that wait, and what a short frame counts as: of one place 1,024 at most, as many as a TAP queues. More would
 * have what comes wait longer behind what nobody waits for any more. */
const ROOM = 2 * 1024 * 1024;
const LEAST = 1_024;
/** Places of peers begin here. */
const PEERS = 0x1_0000_0000;

/** Call begin() in each round, then read: what may not be decided at once is kept. Then take() what has its turn. */
export class MissQueue<T> {
  readonly #queue = new FairQueue<T>(ROOM);
  #left = 0;
  #urgentLeft = 0;

  /** A round begins. */
  begin(): void {
    this.#left = this.#urgentLeft = DECIDED_MISSES;
  }

  /** Whether a miss that was just read is decided at once: it is urgent, or none waits; and this round has not had
   * enough. */
  atOnce(urgent: boolean): boolean {
    if (urgent && this.#urgentLeft-- > 0) return true;
    return this.#queue.length === 0 && this.#left > 0 && this.#left-- > 0;
  }

  /** Keeps a miss of a place; without room it is lost, and `copy` is not called. */
  keep(place: number, octets: number, copy: () => T): void {
    const cost = Math.max(LEAST, octets);
    if (this.#queue.hasRoom(place, cost)) this.#queue.add(place, cost, copy());
  }

  /** Removes and returns the miss whose turn it is; undefined: none waits, or the next round has to begin first. */
  take(): T | undefined {
    if (this.#left === 0) return undefined;
    this.#left--;
    return this.#queue.take();
  }

  /** Whether some wait. */
  get waits(): boolean {
    return this.#queue.length > 0;
  }

  /** Misses that found no room. */
  get lost(): number {
    return this.#queue.refused;
  }
}

/** Where a miss comes from: a local port, or a peer. */
export function placeOf({ inPort, sleeve, tunnel }: Pick<FlowKey, "inPort" | "sleeve" | "tunnel">): number {
  const id = tunnel?.id ?? sleeve?.id;
  return id === undefined ? inPort : PEERS + vniSource(id);
}

/** Decides about a miss whose frame is valid for now, or has a copy of it wait. */
export function decideOrKeep(queue: MissQueue<Miss>, miss: Miss, decide: (miss: Miss) => void): void {
  const { frame, key } = miss;
  if (queue.atOnce(isUrgent(frame, key.tunnel !== undefined))) return decide(miss);
  queue.keep(placeOf(key), frame.length, () => ({ key, frame: frame.slice() }));
}

/** Whether the frame of a miss is to wait for nothing: what finds loops, and heartbeats of links through tunnels. */
export function isUrgent(frame: Uint8Array, tunnelled: boolean): boolean {
  if (frame[0] === 0xff) return loopProbeAt(frame, 0, frame.length) !== undefined;
  return tunnelled && frame[0] === 0 && frame.subarray(0, 12).every((octet) => octet === 0);
}
