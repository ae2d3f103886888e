/** Notices addresses that two use: who is in the network on this host, and the way to other hosts. */
import { CONTAINER_PREFIX } from "../../attach/mod.ts";
import { Timers } from "../../sys/clock.ts";
import type { AddressUsers } from "../addresses/address_users.ts";
import type { Ipam } from "../addresses/addresses.ts";
import { TakenAddresses, type TakenAddressesParts, type UserHere } from "../addresses/taken_addresses.ts";
import type { Config } from "../config/config.ts";
import { ownerAmong } from "../doctor/owner_among.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { LoadedDataplane } from "./open_dataplane.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";

/** Who is in the network on this host. */
export interface WhoIsHere {
  readonly here: () => readonly UserHere[];
  /** Who is in the engine's networks; the part that serves the engine sets it. */
  readonly engine: { here: () => readonly UserHere[] };
}

/** What notices such addresses. Disposing it ends the looks that are still to come. */
export interface TakenPart extends WhoIsHere, Disposable {
  readonly addresses: TakenAddresses;
  /** The way to other hosts; the part that asks them sets it. */
  readonly others: {
    askAt: TakenAddressesParts["askAt"];
    tell: TakenAddressesParts["tell"];
  };
}

/** What is attached, and who is in the engine's networks. */
export function usersHere({ attachments }: Pick<AttachmentsPart, "attachments">): WhoIsHere {
  const engine: WhoIsHere["engine"] = { here: () => [] };
  const nameOf = (target: string) => {
    if (!target.startsWith(CONTAINER_PREFIX)) return null;
    const standing = attachments.adapters.probe.container(target.slice(CONTAINER_PREFIX.length));
    return standing.kind === "gone" ? null : standing.name ?? null;
  };
  const here = () => {
    const attached = attachments.remembered().map(({ addresses, mac, target }): UserHere => ({
      ...{ target, mac, name: nameOf(target), ips: addresses.map(({ ip }) => ip) },
    }));
    return [...attached, ...engine.here()];
  };
  return { here, engine };
}

/** Begins to notice. */
export function openTaken(
  { nickname }: Pick<Config, "nickname">,
  { base, dataplane, ipam, mesh: { hostName }, state: { identity: { name: self } }, users, whoIsHere }: {
    readonly base: Base;
    readonly dataplane: LoadedDataplane;
    readonly ipam: Ipam | undefined;
    readonly mesh: RouterPart;
    readonly state: State;
    readonly users: AddressUsers;
    readonly whoIsHere: WhoIsHere;
  },
): TakenPart {
  const { faults, logger } = base;
  const others: TakenPart["others"] = { askAt: () => Promise.resolve(undefined), tell: () => {} };
  const timers = new Timers(faults);
  const addresses = new TakenAddresses({
    ...{ users, self, nickname, hostName, faults, logger, range: ipam?.range, here: whoIsHere.here },
    ownerOf: (ip) => ipam && ownerAmong(ipam.shell.status(), ip),
    askAt: (peer, ip, mac) => others.askAt(peer, ip, mac),
    tell: (peer, ip) => others.tell(peer, ip),
    later: (ms, work) => timers.later("look who uses addresses", ms, work),
  });
  dataplane.hooks.onAddressesAdded = (added) => addresses.appeared(added);
  return { ...whoIsHere, addresses, others, [Symbol.dispose]: () => timers[Symbol.dispose]() };
}
