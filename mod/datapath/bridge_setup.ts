/** What must change for a Linux bridge and the TAP to be a switch of ours. Pure: planning again after success gives nothing. */
import type { Mac } from "../core/addr.ts";
import { type PeerName, peerNameToNumber } from "../core/names.ts";
import type { BridgeSettings } from "../wire/netlink/rtnetlink.ts";

/** No spanning tree: the mesh has no loops. No snooping: groups that nobody here has joined may have members elsewhere. */
export const BRIDGE_SETTINGS: BridgeSettings = {
  stp: false,
  multicastSnooping: false,
  maxLearned: 65_536,
};

/** How we want it. */
export interface BridgeWanted {
  readonly mtu: number;
  /** Address of the bridge, so that it does not change with its ports. */
  readonly mac: Mac;
}

/** A link as far as it matters here. */
export interface PresentLink {
  readonly index: number;
  readonly up: boolean;
  readonly mtu: number;
  readonly mac: Mac | undefined;
  /** Index of the bridge that it is a port of. */
  readonly master: number | undefined;
  /** Of ports of a bridge; undefined: it is none, or the kernel does not say. */
  readonly passesReserved?: boolean | undefined;
  /** Of bridges. */
  readonly bridge?: BridgeSettings | undefined;
}

/** How it is. */
export interface BridgePresent {
  readonly bridge: PresentLink;
  readonly tap: PresentLink;
}

/** One step. Only what differs is named. */
export interface BridgeChange {
  readonly index: number;
  readonly mtu?: number;
  readonly mac?: Mac;
  readonly master?: number;
  readonly bridge?: BridgeSettings;
  readonly up?: true;
  /** The port is to pass on frames to reserved groups. */
  readonly passReserved?: true;
}

/** Steps from how it is to how we want it; the bridge first, so that the TAP finds it with its MTU. */
export function planBridge(wanted: BridgeWanted, { bridge, tap }: BridgePresent): readonly BridgeChange[] {
  const changes: BridgeChange[] = [
    {
      index: bridge.index,
      ...(bridge.mac === wanted.mac ? {} : { mac: wanted.mac }),
      ...(bridge.mtu === wanted.mtu ? {} : { mtu: wanted.mtu }),
      ...(isAsWanted(bridge.bridge) ? {} : { bridge: BRIDGE_SETTINGS }),
      ...(bridge.up ? {} : { up: true }),
    },
    {
      index: tap.index,
      ...(tap.mtu === wanted.mtu ? {} : { mtu: wanted.mtu }),
      ...(tap.master === bridge.index ? {} : { master: bridge.index }),
      ...(tap.up ? {} : { up: true }),
      ...(tap.master === bridge.index && tap.passesReserved !== false ? {} : { passReserved: true }),
    },
  ];
  return changes.filter((change) => Object.keys(change).length > 1);
}

function isAsWanted(settings: BridgeSettings | undefined): boolean {
  const { maxLearned, multicastSnooping, stp } = BRIDGE_SETTINGS;
  return settings?.stp === stp && settings.multicastSnooping === multicastSnooping &&
    (settings.maxLearned ?? maxLearned) === maxLearned;
}

/** The address of a peer's bridge: its name, made a unicast address if it is none (spec dataplane.md 7.1). */
export function bridgeMac(peer: PeerName): Mac {
  const number = peerNameToNumber(peer);
  const first = Math.floor(number / 2 ** 40);
  const wanted = (first & 1) === 0 ? first : first & 0xfe | 2;
  return number + (wanted - first) * 2 ** 40 as Mac;
}
