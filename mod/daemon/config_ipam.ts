/** Settings of address allocation: the range, the subnet of those who name none, and how the first hosts begin. */
import { type Cidr, formatCidr, isIpv4, parseCidr } from "../core/addr.ts";
import { parsePeerName, UNKNOWN_PEER } from "../core/names.ts";
import type { Init } from "../ipam/allocator_types.ts";
import { commonSpan, subnetFault, Universe } from "../ipam/universe.ts";
import { refuseSetting, settingText, type Sourced } from "./config_values.ts";

/** How addresses are allocated. */
export interface IpamConfig {
  /** The whole range. */
  readonly universe: Universe;
  /** Where those get an address who name no subnet. */
  readonly subnet: Cidr;
  /** How the first hosts begin. */
  readonly init: Init;
}

/** Most hosts that `consensus=N` can wait for. */
const MAX_HOSTS = 4_096;

/** The settings as they were given; undefined when addresses are not allocated. */
export function parseIpam(
  { init, range, subnet }: {
    readonly range: Sourced;
    readonly subnet: Sourced | undefined;
    readonly init: Sourced;
  },
): IpamConfig | undefined {
  const whole = settingText(range);
  if (whole === "" || whole === "off") {
    const useless = subnet ?? (init.source === "default" ? undefined : init);
    if (useless !== undefined) {
      refuseSetting(useless, `Leave it out, or give a range: ${range.label} is ${JSON.stringify(whole)}`);
    }
    return undefined;
  }
  const made = Universe.of(subnetOf(range, "10.32.0.0/12, or off"));
  if (!made.ok) refuseSetting(range, `Give another range: ${made.reason}`);
  const universe = made.value;
  const preferred = subnet === undefined ? universe.cidr : subnetOf(subnet, "10.32.1.0/24");
  if (commonSpan(universe.spanOf(preferred)!, universe.span) === undefined) {
    refuseSetting(subnet!, `Give a subnet within ${formatCidr(universe.cidr)}, which --ip-range sets`);
  }
  return { universe, subnet: preferred, init: initOf(init) };
}

function subnetOf(given: Sourced, example: string): Cidr {
  const cidr = parseCidr(settingText(given));
  if (cidr === undefined) refuseSetting(given, `Give ADDRESS/PREFIX, for example ${example}`);
  if (!isIpv4(cidr.ip)) refuseSetting(given, `Give an IPv4 range, for example ${example}`);
  const fault = subnetFault(cidr);
  if (fault !== undefined) refuseSetting(given, `Give another one: ${fault}`);
  return cidr;
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
