/** What a change of this host's network means for dials: when all is tried again, and what hangs. */
import { cidrContains, type Ip, isIpv4, parseCidr, parseEndpoint } from "../../core/addr.ts";
import type { Millis } from "../../core/time.ts";
import type { DialTarget } from "./dial_target.ts";

/** After a change of this host's network targets are tried again at most this often, milliseconds. */
export const RENEW_INTERVAL = 1_000;
/** A dial or look-up that has waited this long when the network changes is begun anew, milliseconds. */
export const HUNG = 3_000;

/** Every interface has such an address, and no dial waits for one. */
const LINK_LOCAL = parseCidr("fe80::/10")!;

/** Remembers changes until they were acted on. */
export class Renewal {
  #at = Infinity;
  #last = -Infinity;
  /** When this host last got an address of each family. */
  readonly #cameAt = { 4: -Infinity, 6: -Infinity };

  /** When targets are to be tried because the network has changed; Infinity: it has not. */
  get at(): number {
    return this.#at;
  }

  /** The network has changed. `come`: addresses that this host has got. */
  changed(come: readonly Ip[], now: Millis): void {
    for (const ip of come) if (!cidrContains(LINK_LOCAL, ip)) this.#cameAt[familyOf(ip)] = now;
    this.#at = Math.min(this.#at, Math.max(now, this.#last + RENEW_INTERVAL));
  }

  /** Targets are tried now. */
  begun(now: Millis): void {
    this.#at = Infinity;
    this.#last = now;
  }

  /** Whether nothing is to be expected of a dial or look-up. One that began before this host had an address of its family
   * may have a source to which nobody can answer: Linux takes ::1 if it has nothing else. */
  hangs({ addresses, at, phase, since }: DialTarget, now: Millis): boolean {
    if (phase !== "resolving" && phase !== "dialing") return false;
    if (now - since >= HUNG) return true;
    return phase === "dialing" && since < this.#cameAt[familyOf(parseEndpoint(addresses[at]!)!.ip)];
  }
}

function familyOf(ip: Ip): 4 | 6 {
  return isIpv4(ip) ? 4 : 6;
}
