/** Plain words for dials that failed: the fault and the fix. */
import { type Endpoint, formatEndpoint } from "../../core/addr.ts";
import type { DialFailure } from "../router_types.ts";

/** How long a dial may take, milliseconds. */
export const DIAL_TIMEOUT = 10_000;

/** Why nobody could be reached at `address`, as a sentence without full stop; `message` is what the system said. */
export function dialAdvice(address: Endpoint, failure: DialFailure, message: string): string {
  const where = formatEndpoint(address);
  switch (failure) {
    case "refused":
      return `nothing listens on ${where}: is meshnet running there, on TCP port ${address.port}?`;
    case "timeout":
      return `no answer from ${where} within ${
        DIAL_TIMEOUT / 1000
      } s: is the host up, and does a firewall drop ` +
        `TCP port ${address.port}?`;
    case "unreachable":
      return `no route to ${where}: check this host's network and the address`;
    case "other":
      return `cannot connect to ${where}: ${message}`;
  }
}
