/** The table of our own that masquerades. Pure. */
import { formatCidr, ipToBytes, isIpv4 } from "../core/addr.ts";
import { NAME_SERVER_IP } from "../core/name_leg.ts";
import type { NftChange } from "../wire/filter/nft_write.ts";
import type { NatRule } from "../wire/filter/xtables.ts";
import { blockOf, type Exposure } from "./wanted.ts";

/** Its name, in families ip and ip6. */
export const NAT_TABLE = "meshnet";
/** Its chain. */
export const NAT_CHAIN = "postrouting";
const PREFIX = "meshnet: ";
const NAT = new RegExp(`^${PREFIX}[0-9a-f.:]+/[0-9]+ (multicast|names|out|in)$`);

/** Comments of the rules that are there, by family; undefined: there is no such table. */
export type PresentNat = Readonly<Record<"ip" | "ip6", readonly string[] | undefined>>;

/** Whether a comment is that of one of these rules. */
export function isOwnNat(comment: string | undefined): boolean {
  return comment !== undefined && NAT.test(comment);
}

function wantedIn(family: "ip" | "ip6", exposures: readonly Exposure[]): readonly Exposure[] {
  return exposures.filter(({ masquerade, network }) =>
    masquerade && (isIpv4(network.ip) ? "ip" : "ip6") === family
  );
}

/** The rules for networks: multicast keeps its source, and so does what goes to the name server, which a bridge hands to
 * the firewall as well, and which must see who asks. What leaves or enters takes this host's address, and what stays
 * inside matches none of them. */
export function natRules(family: "ip" | "ip6", exposures: readonly Exposure[]): readonly NatRule[] {
  return wantedIn(family, exposures).flatMap(({ network }) => {
    const own = blockOf(network);
    const comment = `${PREFIX}${formatCidr(network)}`;
    const multicast = family === "ip"
      ? { octets: Uint8Array.of(224, 0, 0, 0), prefix: 4 }
      : { octets: Uint8Array.from({ length: 16 }, (_, i) => i === 0 ? 0xff : 0), prefix: 8 };
    const names = { octets: ipToBytes(NAME_SERVER_IP), prefix: 32 };
    return [
      { comment: `${comment} multicast`, source: own, destination: multicast, outside: undefined },
      ...family === "ip"
        ? [{ comment: `${comment} names`, source: own, destination: names, outside: undefined }]
        : [],
      { comment: `${comment} out`, source: own, destination: own, outside: "destination" as const },
      { comment: `${comment} in`, source: own, destination: own, outside: "source" as const },
    ];
  });
}

/** What to change so that the tables have these rules; none where they have them. */
export function planNat(present: PresentNat, exposures: readonly Exposure[]): readonly NftChange[] {
  return (["ip", "ip6"] as const).flatMap((family): readonly NftChange[] => {
    const rules = natRules(family, exposures);
    const there = present[family];
    const same = there !== undefined && there.length === rules.length &&
      rules.every(({ comment }, i) => comment === there[i]);
    if (rules.length === 0) {
      return there === undefined ? [] : [{ kind: "delete-table", family, table: NAT_TABLE }];
    }
    return same ? [] : [{ kind: "masquerade", family, table: NAT_TABLE, rules }];
  });
}
