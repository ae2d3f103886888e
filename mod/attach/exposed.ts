/** The addresses with which this host itself takes part in the network: what is remembered of them, and what to change. */
import { type Cidr, formatCidr, networkOf, overlap, parseCidr } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Store } from "../core/ports.ts";

/** Where the store has them. */
export const EXPOSED_KEY = "exposed";
const VERSION = 1;

/** One address of this host in the network. */
export interface ExposedAddress {
  readonly cidr: Cidr;
  /** Whether what leaves its network through this host takes an address of this host. */
  readonly masquerade: boolean;
}

/** What is remembered. */
export interface ExposedRecord {
  readonly addresses: readonly ExposedAddress[];
  /** Those that are to be taken off the interface: it may have them still. */
  readonly leaving: readonly Cidr[];
}

/** Nothing is exposed, and nothing was. */
export const NOT_EXPOSED: ExposedRecord = { addresses: [], leaving: [] };

/** A record as JSON, version first; undefined where there is nothing to remember. */
export function encodeExposed({ addresses, leaving }: ExposedRecord): string | undefined {
  if (addresses.length + leaving.length === 0) return undefined;
  return JSON.stringify({
    version: VERSION,
    addresses: addresses.map(({ cidr, masquerade }) => ({ address: formatCidr(cidr), masquerade })),
    leaving: leaving.map(formatCidr),
  });
}

/** Reads what encodeExposed() wrote. */
export function decodeExposed(text: string | undefined): Decoded<ExposedRecord> {
  if (text === undefined) return good(NOT_EXPOSED);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    return bad(`not JSON: ${messageOf(thrown)}`);
  }
  const fields = (json ?? {}) as Record<string, unknown>;
  if (fields.version !== VERSION) {
    return bad(`version is ${JSON.stringify(fields.version)}, expected ${VERSION}`);
  }
  const list = (value: unknown): readonly unknown[] => Array.isArray(value) ? value : [undefined];
  const cidrOf = (value: unknown) => typeof value === "string" ? parseCidr(value) : undefined;
  const addresses = list(fields.addresses).map((one) => {
    const { address, masquerade } = (one ?? {}) as Record<string, unknown>;
    const cidr = cidrOf(address);
    return cidr && typeof masquerade === "boolean" ? { cidr, masquerade } : undefined;
  });
  const leaving = list(fields.leaving).map(cidrOf);
  const isGood = <T>(values: readonly (T | undefined)[]): values is readonly T[] =>
    values.every((value) => value !== undefined);
  return isGood(addresses) && isGood(leaving)
    ? good({ addresses, leaving })
    : bad("addresses are missing or wrong");
}

/** The addresses that a store remembers; none where it cannot be read. */
export function exposedIn(store: Pick<Store, "get">): readonly ExposedAddress[] {
  const decoded = decodeExposed(store.get(EXPOSED_KEY));
  return decoded.ok ? decoded.value.addresses : [];
}

const sameCidr = (a: Cidr, b: Cidr) => a.ip === b.ip && a.prefix === b.prefix;

/** The record with more addresses. Throws where networks would overlap: of each packet it must be plain which of them it
 * belongs to. */
export function withExposed(
  record: ExposedRecord,
  asked: readonly Cidr[],
  masquerade: boolean,
): ExposedRecord {
  const addresses = [...record.addresses];
  for (const cidr of asked) {
    const network = networkOf(cidr);
    const other = addresses.find((one) =>
      !sameCidr(networkOf(one.cidr), network) && overlap(networkOf(one.cidr), network)
    );
    if (other !== undefined) {
      throw new MeshnetError(
        "attach/bad-address",
        `Cannot expose ${formatCidr(cidr)}: its network overlaps that of ${formatCidr(other.cidr)}`,
        {
          hint: `This host has that address in the network: \`meshnet hide ${formatCidr(other.cidr)}\` first`,
        },
      );
    }
    const at = addresses.findIndex((one) => one.cidr.ip === cidr.ip);
    addresses.splice(at < 0 ? addresses.length : at, at < 0 ? 0 : 1, { cidr, masquerade });
  }
  const isBack = (cidr: Cidr) => asked.some((one) => sameCidr(one, cidr));
  return { addresses, leaving: record.leaving.filter((cidr) => !isBack(cidr)) };
}

/** The record without these addresses. */
export function withoutExposed(
  { addresses, leaving }: ExposedRecord,
  hidden: readonly Cidr[],
): ExposedRecord {
  const goes = ({ cidr }: ExposedAddress) => hidden.some((one) => sameCidr(one, cidr));
  return {
    addresses: addresses.filter((one) => !goes(one)),
    leaving: [...leaving, ...addresses.filter(goes).map(({ cidr }) => cidr)],
  };
}

/** What the interface lacks, and what it still has. */
export function planExposed(
  { addresses, leaving }: ExposedRecord,
  present: readonly Cidr[],
): { readonly add: readonly Cidr[]; readonly remove: readonly Cidr[] } {
  const has = (cidr: Cidr) => present.some((one) => sameCidr(one, cidr));
  return {
    add: addresses.map(({ cidr }) => cidr).filter((cidr) => !has(cidr)),
    remove: leaving.filter(has),
  };
}

/** The networks of what is exposed, each once; masqueraded if one of its addresses is. */
export function exposedNetworks(
  addresses: readonly ExposedAddress[],
): readonly { readonly network: Cidr; readonly masquerade: boolean }[] {
  const byText = Map.groupBy(addresses, ({ cidr }) => formatCidr(networkOf(cidr)));
  return [...byText.values()].map((some) => ({
    network: networkOf(some[0]!.cidr),
    masquerade: some.some(({ masquerade }) => masquerade),
  }));
}
