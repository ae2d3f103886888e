/** What is said of the mesh's domain as a whole. */
import { encodeName } from "../../wire/dns/dns_text.ts";

/** The domain of the original. It is answered as the original answers, to the octet. */
const ORIGINAL = "weave.local.";

/** The mesh's domain. */
export interface Zone {
  /** Its name in small letters, as it is on the wire. */
  readonly name: Uint8Array;
  /** Whether it is answered as the original answers: without EDNS, without SOA, and as if the domain itself and names
   * that only have names below them did not exist. */
  readonly isOriginal: boolean;
}

/** Serial, refresh, retry and expire of the zone concern nobody: no other server copies it. Minimum: what does not exist
 * is not kept, for in an instant it may exist. */
export const ZONE_TIMES: readonly number[] = [1, 3_600, 600, 86_400, 0];

/** The zone of a domain, a whole name. */
export function zoneOf(domain: string): Zone {
  const small = domain.toLowerCase();
  return { name: encodeName(small), isOriginal: small === ORIGINAL };
}
