/** What `status` says of address allocation. Pure: what it is told is what it says. */
import { formatCidr } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import type { AllocatorStatus, OwnerStatus } from "../ipam/status.ts";
import type { AddressInUseReport, IpamReport } from "./address_types.ts";
import type { Problem } from "./api_types.ts";

/** What a report is made of. */
export interface IpamSources {
  /** The allocator. */
  readonly status: AllocatorStatus;
  /** Where those get an address who name no subnet. */
  readonly subnet: string;
  /** Addresses that are set aside, and who uses them. */
  readonly inUse: readonly (AddressInUseReport & {
    /** What is attached here that uses it; undefined: somebody else does. */
    readonly target?: string | undefined;
  })[];
  /** Why the last state of another host was refused; undefined: none was lately. */
  readonly refused: string | undefined;
}

/** Hosts that one sentence names. */
const MAX_NAMED = 4;

/** The report of an allocator. */
export function ipamReport({ inUse, status, subnet }: IpamSources): IpamReport {
  const nickname = (peer: string) => status.owners.find((one) => one.peer === peer)?.nickname ?? "";
  return {
    range: formatCidr(status.range),
    subnet,
    state: status.state,
    info: infoOf(status),
    addresses: status.rangeSize,
    active: status.active,
    owners: status.owners.map(({ free, nickname, peer, percent, reachable, size }) => ({
      ...{ peer, nickname, reachable, addresses: size, free, percent: Math.round(percent * 10) / 10 },
    })),
    waiting: [
      ...status.pendingAllocates.map(({ ident, subnet }) => ({ holder: ident, wants: `net:${subnet}` })),
      ...status.pendingClaims.map(({ address, ident }) => ({ holder: ident, wants: address })),
    ],
    inUse: inUse.map(({ target: _, ...one }) => one),
    removals: status.takeovers.map(({ claimant, missing, victim }) => ({
      ...{ peer: victim, nickname: nickname(victim), heir: claimant ?? null, missing },
    })),
  };
}

function infoOf(status: AllocatorStatus): string {
  const { election, owners, state, trouble } = status;
  switch (state) {
    case "idle":
      return "nobody has asked for an address yet: the first request shares the range out";
    case "awaiting-consensus":
      return `${election?.quorum ?? 0} hosts must agree on the first owners, ${
        election?.known ?? 0
      } are here: ` +
        "start the others, or give their number with --ip-init consensus=N";
    case "priming":
      return "this host is an observer and waits for others to share the range out: connect it to them";
    case "waiting":
      return "no address is free in what a request asks for: it waits until one is";
    case "all-unreachable":
      return `no owner of addresses can be reached: start ${
        named(owners)
      }, or run \`meshnet rmpeer\` for those that ` +
        "are gone for good";
    case "ready": {
      const lost = owners.filter(({ reachable }) => !reachable);
      return lost.length === 0
        ? ""
        : `${share(lost)} of the addresses cannot be reached: they belong to ${named(lost)}`;
    }
    case "blocked":
      return trouble === undefined ? "" : [trouble.message, trouble.hint].filter(Boolean).join(": ");
    default:
      return assertNever(state);
  }
}

function share(owners: readonly OwnerStatus[]): string {
  return `${owners.reduce((sum, { percent }) => sum + percent, 0).toFixed(1)} %`;
}

function named(owners: readonly OwnerStatus[]): string {
  const some = owners.slice(0, MAX_NAMED).map(({ nickname, peer }) => nickname || peer).join(", ");
  return owners.length > MAX_NAMED ? `${some} and ${owners.length - MAX_NAMED} more` : some;
}

/** What is wrong with allocation. That others are away is no problem until somebody waits for their addresses. */
export function problemsOfIpam({ inUse, refused, status }: IpamSources): Problem[] {
  const problems: Problem[] = [];
  if (status.trouble !== undefined) {
    problems.push({ message: status.trouble.message, hint: status.trouble.hint ?? null });
  }
  const waits = status.state === "waiting" || status.state === "all-unreachable" ||
    status.state === "awaiting-consensus";
  if (waits && status.pendingAllocates.length > 0) {
    const [first] = status.pendingAllocates;
    const more = status.pendingAllocates.length - 1;
    const who = more === 0 ? `${first!.ident} waits` : `${first!.ident} and ${more} more wait`;
    problems.push({ message: `${who} for an address: ${infoOf(status)}`, hint: "See `meshnet status ipam`" });
  }
  const more = inUse.length > MAX_NAMED
    ? `; ${inUse.length - MAX_NAMED} more addresses are in use like that`
    : "";
  const { prefix } = status.range;
  for (const { address, by, host, target } of inUse.slice(0, MAX_NAMED)) {
    const claim = target === undefined
      ? `on ${host ?? "its host"} with \`meshnet attach ${address}/${prefix} TARGET\``
      : `with \`meshnet attach ${address}/${prefix} ${target}\``;
    problems.push({
      message: `${address} is in use by ${by}, who did not get it from meshnet: others are given out${more}`,
      hint: `Take it away there, or have it given to its user ${claim}`,
    });
  }
  if (refused !== undefined) problems.push({ message: refused, hint: null });
  return problems;
}
