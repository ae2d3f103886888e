/** Settings of address allocation: the range, the subnet of those who name none, and how the first hosts begin. */
import { type Cidr, cidrContains, formatCidr, isIpv4, parseCidr } from "../../core/addr.ts";
import { NAME_SERVER_IP } from "../../core/name_leg.ts";
import { parsePeerName, UNKNOWN_PEER } from "../../core/names.ts";
import type { Init } from "../../ipam/allocator_types.ts";
import { commonSpan, subnetFault, Universe } from "../../ipam/universe.ts";
import { refuseSetting, settingText, type Sourced } from "./config_values.ts";

/** How addresses are allocated. */
export interface IpamConfig {
  /** The whole range. */
  readonly universe: Universe;
  /** Where those get an address who name no subnet. */
  readonly subnet: Cidr;
  /** How the first hosts begin. */
  readonly init: Init;
  /** Owners that have been away for so many milliseconds are given up; undefined: only people give up. */
  readonly reclaimAfterMs: number | undefined;
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
/** A host that starts again shall not be given up meanwhile. */
const SHORTEST_S = 60;
const LONGEST_S = 365 * SECONDS.d;
/** Most hosts that `consensus=N` can wait for. */
const MAX_HOSTS = 4_096;

/** The settings as they were given; undefined when addresses are not allocated. */
export function parseIpam(
  { init, range, reclaimAfter, subnet }: {
    readonly range: Sourced;
    readonly subnet: Sourced | undefined;
    readonly init: Sourced;
    readonly reclaimAfter: Sourced;
  },
): IpamConfig | undefined {
  const whole = settingText(range);
  if (whole === "" || whole === "off") {
    const useless = subnet ?? [init, reclaimAfter].find(({ source }) => source !== "default");
    if (useless !== undefined) {
      refuseSetting(useless, `Leave it out, or give a range: ${range.label} is ${JSON.stringify(whole)}`);
    }
    return undefined;
  }
  const made = Universe.of(subnetOf(range, "10.32.0.0/12, or off"));
  if (!made.ok) refuseSetting(range, `Give another range: ${made.reason}`);
  const universe = made.value;
  if (cidrContains(universe.cidr, NAME_SERVER_IP)) {
    const why = `containers ask their host's name server at ${NAME_SERVER_IP}, which is in this one`;
    refuseSetting(range, `Give another range: ${why}`);
  }
  const preferred = subnet === undefined ? universe.cidr : subnetOf(subnet, "10.32.1.0/24");
  if (commonSpan(universe.spanOf(preferred)!, universe.span) === undefined) {
    refuseSetting(subnet!, `Give a subnet within ${formatCidr(universe.cidr)}, which --ip-range sets`);
  }
  return { universe, subnet: preferred, init: initOf(init), reclaimAfterMs: durationOf(reclaimAfter) };
}

function subnetOf(given: Sourced, example: string): Cidr {
  const cidr = parseCidr(settingText(given));
  if (cidr === undefined) refuseSetting(given, `Give ADDRESS/PREFIX, for example ${example}`);
  if (!isIpv4(cidr.ip)) refuseSetting(given, `Give an IPv4 range, for example ${example}`);
  const fault = subnetFault(cidr);
  if (fault !== undefined) refuseSetting(given, `${fault.fix}: ${fault.why}`);
  return cidr;
}

function durationOf(given: Sourced): number | undefined {
  const text = settingText(given);
  if (text === "" || text === "off") return undefined;
  const [, digits, unit] = /^([0-9]{1,6})(s|m|h|d)$/.exec(text) ?? [];
  const seconds = Number(digits) * SECONDS[unit as keyof typeof SECONDS];
  if (seconds >= SHORTEST_S && seconds <= LONGEST_S) return seconds * 1_000;
  return refuseSetting(given, "Give a number and s, m, h or d, from 60s to 365d, for example 24h; or off");
}

function initOf(given: Sourced): Init {
  const [, mode, value] = /^([a-z]+)(?:=(.*))?$/s.exec(settingText(given)) ?? [];
  switch (mode) {
    case "observer":
      if (value !== undefined) refuseSetting(given, "Give observer alone: it takes no value");
      return { kind: "observer" };
    case "consensus": {
      if (value === undefined) return { kind: "consensus", peers: undefined };
      const peers = /^[0-9]{1,5}$/.test(value) ? Number(value) : 0;
      if (peers >= 1 && peers <= MAX_HOSTS) return { kind: "consensus", peers };
      return refuseSetting(given, `Give the number of hosts, 1 to ${MAX_HOSTS}, for example consensus=3`);
    }
    case "seed": {
      const names = (value ?? "").split(",").filter((name) => name !== "").map((name) => {
        const peer = parsePeerName(name);
        if (peer === undefined || peer === UNKNOWN_PEER) {
          refuseSetting({ ...given, value: name }, "Give peer names as `meshnet status peers` shows them");
        }
        return peer;
      });
      if (names.length > 0) return { kind: "seed", peers: names };
      return refuseSetting(
        given,
        "Name the first hosts, for example seed=8a:3e:11:02:9c:01,8a:3e:11:02:9c:02",
      );
    }
    default:
      return refuseSetting(given, "Give consensus, consensus=N, seed=NAME,... or observer");
  }
}
