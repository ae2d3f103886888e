/** Whether a target is reached already, or will be by the other end. */
import { type Ip, parseEndpoint } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import { after, type Millis } from "../../core/time.ts";
import type { ConnectorView } from "./connector_types.ts";
import type { DialTarget } from "./dial_target.ts";

/** A discovered address waits so long at most while a connection from there is being introduced, milliseconds. */
export const PATIENCE = 2_000;

/** Puts off the dial of a discovered address while a connection comes from there: the two would kill each other. It does
 * so for a short time only, as that connection may be somebody else's, or never get anywhere. */
export function waitFor(coming: ReadonlySet<Ip>, target: DialTarget, now: Millis): void {
  if (target.direct !== undefined || target.phase !== "idle") return;
  if (!target.addresses.some((address) => coming.has(parseEndpoint(address)!.ip))) return;
  target.waitsUntil ??= after(now, PATIENCE);
  if (now < target.waitsUntil) target.tryAt = Math.min(target.waitsUntil, after(now, PATIENCE / 10));
}

/** Whether we leave it to a peer to dial us. It is true at exactly one end. The parity of both names decides at which, so
 * that everybody dials about half of the others. */
export function yields(self: PeerName, peer: PeerName): boolean {
  let parity = 0;
  for (let i = 0; i < self.length; i++) parity ^= self.charCodeAt(i) ^ peer.charCodeAt(i);
  for (const shift of [4, 2, 1]) parity ^= parity >> shift;
  return (self > peer) === ((parity & 1) === 0);
}

/** The connections by which a target may be reached already. */
export interface Reached {
  readonly view: ConnectorView;
  readonly byAddress: ReadonlyMap<string, PeerName>;
  readonly inbound: ReadonlyMap<Ip, PeerName>;
}

/** The peer through which a direct target is already connected. A target that once answered as some peer counts as
 * reached while any connection to that peer stands: dialling it again could only make a duplicate. */
export function reachedBy(target: DialTarget, { view, byAddress, inbound }: Reached): PeerName | undefined {
  if (target.peer !== undefined && view.isConnected(target.peer)) return target.peer;
  for (const address of target.addresses) {
    const peer = byAddress.get(address) ??
      (target.direct?.port === undefined ? inbound.get(parseEndpoint(address)!.ip) : undefined);
    if (peer !== undefined) return peer;
  }
  return undefined;
}
