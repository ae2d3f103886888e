/** What a copy of a machine leaves to the original: its share of addresses, and what is attached there but not here. */
import { recordsWithoutInterface } from "../attach/record.ts";
import { EXPOSED_KEY } from "../attach/exposed.ts";
import { EXPOSE_HOLDER } from "../core/holders.ts";
import type { PeerName } from "../core/names.ts";
import type { Store } from "../core/ports.ts";
import { HEALTH_PREFIX, MEMBER_PREFIX, NAMES_PREFIX } from "../core/store_keys.ts";
import { recordsOfCopy, STORE_PREFIX } from "../ipam/stored.ts";

/** What changes in the state. */
export interface LeftToOriginal {
  readonly records: readonly (readonly [key: string, value: string | undefined])[];
  /** What counted as attached. */
  readonly targets: readonly string[];
}

/** What a copy has to change in the state that it was copied with. `isThere`: whether this host has an interface; `leg` is
 * that of the switch. */
export function leftToOriginal(
  store: Pick<Store, "get" | "list">,
  { from, isThere, leg }: {
    readonly from: PeerName;
    readonly isThere: (hostInterface: string) => boolean;
    readonly leg: string;
  },
): LeftToOriginal {
  const absent = recordsWithoutInterface(store, isThere);
  const targets = absent.flatMap(({ target }) => target ?? []);
  const isExposed = store.get(EXPOSED_KEY) !== undefined && !isThere(leg);
  const named = [...targets, ...isExposed ? [EXPOSE_HOLDER] : []];
  const keys = [
    ...absent.map(({ key }) => key),
    ...isExposed ? [EXPOSED_KEY] : [],
    ...store.list(MEMBER_PREFIX).map(([key]) => key),
    ...named.flatMap((target) => [NAMES_PREFIX + target, HEALTH_PREFIX + target]),
  ];
  const gone = keys.map((key) => [key, undefined] as const);
  return { records: [...gone, ...recordsOfCopy(store.list(STORE_PREFIX), from)], targets };
}
