/** Whether another machine uses an address of this host as well: then packets for this host reach the other one by turns. */
import type { StatusReport } from "../../control/api_types.ts";
import { type Endpoint, formatMac, type Ip, isIpv4, type Mac, parseEndpoint } from "../../core/addr.ts";
import type { Finding } from "../checks.ts";

/** So many ways to other hosts are looked at: most begin at the same address. */
const MOST = 64;

/** An address of this host, and the interface that has it. */
export interface OwnAddress {
  readonly ip: Ip;
  readonly name: string;
  readonly mac: Mac;
}

/** What is looked at. */
export interface OwnAddressLook {
  /** The address from which this host sends there, where it is one of an interface with MAC addresses. */
  readonly ownTowards: (to: Endpoint) => OwnAddress | undefined;
  /** Asks everybody on the segments of these addresses whether he uses them, and gives who else says so. */
  readonly others: (own: readonly OwnAddress[]) => Promise<ReadonlyMap<Ip, readonly Mac[]>>;
}

/** Names each address by which this host reaches others and that somebody else has, too. */
export async function usedTwice(
  { connections }: Pick<StatusReport, "connections">,
  { others, ownTowards }: OwnAddressLook,
): Promise<readonly Finding[]> {
  const own = new Map(
    connections.slice(0, MOST).flatMap(({ address }) => {
      const to = parseEndpoint(address);
      const one = to !== undefined && isIpv4(to.ip) ? ownTowards(to) : undefined;
      return one === undefined ? [] : [[one.ip, one] as const];
    }),
  );
  if (own.size === 0) return [];
  const found = await others([...own.values()]);
  return [...own.values()].flatMap(({ ip, name }) => {
    const macs = (found.get(ip) ?? []).map(formatMac);
    if (macs.length === 0) return [];
    const who = macs.length === 1 ? "another machine has" : "other machines have";
    return [{
      message: `${
        who.replace(/^./, (letter) => letter.toUpperCase())
      } this host's address ${ip} (${name}), too: ${macs.join(" and ")} ${
        macs.length === 1 ? "answers" : "answer"
      } for it, so what is sent to this host may go there`,
      hint: `Give one of them another address; the table of MAC addresses of the switch says at which port ${
        macs[0]
      } is, and its first half who made it`,
    }];
  });
}
