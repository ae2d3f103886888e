/** The calls of a network plugin of Docker, read and decided upon. Pure, and nothing is remembered but one number: where an
 * endpoint hangs the kernel knows, and who has which address the allocator does. */
import {
  type Cidr,
  cidrContains,
  formatCidr,
  formatMac,
  type Ip,
  isIpv4,
  type Mac,
  overlap,
  parseCidr,
  parseIp,
  parseMac,
} from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";
import { fieldsOf } from "./engine_api.ts";

/** What networks call their driver: the name of the plugin's socket. */
export function driverOf(pluginSocket: string): string {
  return pluginSocket.slice(pluginSocket.lastIndexOf("/") + 1).replace(/\.sock$/, "");
}

/** Address spaces: texts that Docker only hands back. */
export const SPACES = { local: "meshnet", global: "meshnet-global" } as const;
/** Option of a network of addresses outside the range: nobody allocates them, so each has to be given by hand. */
export const GIVEN_OPTION = "meshnet.given";
/** Requests for any pool one after the other, with nothing in between, that are answered. */
const MAX_POOLS_IN_A_ROW = 3;
const MAX_TEXT = 256;
/** In the pool's data: asks for no address of a gateway. */
const NO_GATEWAY = { "com.docker.network.gateway": "0.0.0.0/0" };
/** As the type of a request for an address. */
const GATEWAY_TYPE = "com.docker.network.gateway";

/** The network that addresses come from. */
export interface PoolNetwork {
  /** The whole range. */
  readonly range: Cidr;
  /** What a network gets that names no subnet. */
  readonly subnet: Cidr;
}

type Fields = Readonly<Record<string, unknown>>;

function textOf(fields: Fields, name: string): Decoded<string> {
  const value = fields[name] ?? "";
  return typeof value === "string" && value.length <= MAX_TEXT
    ? good(value)
    : bad(`Cannot read the call: ${name} is no short text`);
}

/** A pool and the part of it that addresses come from. */
export interface Pool {
  readonly pool: Cidr;
  readonly from: Cidr;
}

function poolId({ from, pool }: Pool): string {
  return `${formatCidr(pool)},${formatCidr(from)}`;
}

function readPoolId(text: string): Pool | undefined {
  const [pool, from] = text.split(",").map(parseCidr);
  return pool === undefined || from === undefined ? undefined : { pool, from };
}

/** Answers requests for pools. */
export class Pools {
  /** Requests for any pool since a search ended. */
  #inARow = 0;

  /** Told of each call that ends a search for a pool. */
  otherCall(): void {
    this.#inARow = 0;
  }

  /** Decides about a request for a pool. Docker asks for another one for ever while what it gets overlaps a route of its
   * host, so what is asked again and again is refused in the end. */
  request(body: unknown, network: PoolNetwork | undefined): Decoded<unknown> {
    const fields = fieldsOf(body);
    const [pool, sub] = [textOf(fields, "Pool"), textOf(fields, "SubPool")];
    if (!pool.ok) return pool;
    if (!sub.ok) return sub;
    if (network === undefined) {
      return bad(
        "Cannot give addresses: this host runs with --ip-range off; start meshnet with an --ip-range",
      );
    }
    if (fields["V6"] === true) {
      return bad("Cannot give IPv6 addresses: create the network without --ipv6");
    }
    const { range, subnet } = network;
    if (pool.value === "" && ++this.#inARow > MAX_POOLS_IN_A_ROW) {
      this.#inARow = 0; // the search has ended; the next one may have more luck
      return bad(
        `Cannot give another subnet than ${formatCidr(subnet)}, which this host has a route to: ` +
          `give a subnet of ${
            formatCidr(range)
          } with --subnet, or another --ip-range to meshnet on all hosts`,
      );
    }
    const whole = pool.value === "" ? subnet : parseCidr(pool.value);
    const from = sub.value === "" ? whole : parseCidr(sub.value);
    const isGiven = fieldsOf(fields["Options"])[GIVEN_OPTION] === "true";
    if (whole === undefined || !isWithin(whole, range) && (!isGiven || overlap(whole, range))) {
      return bad(
        `Cannot use subnet ${pool.value}: it is no part of meshnet's range ${formatCidr(range)}; ` +
          "give a part of that with --subnet, or start meshnet with another --ip-range on all hosts; where every " +
          `container is given its address, --ipam-opt ${GIVEN_OPTION}=true takes a subnet outside the range`,
      );
    }
    if (from === undefined || !isWithin(from, whole)) {
      return bad(`Cannot use range ${sub.value}: give a part of ${formatCidr(whole)} with --ip-range`);
    }
    return good({ PoolID: poolId({ pool: whole, from }), Pool: formatCidr(whole), Data: NO_GATEWAY });
  }
}

function isWithin(part: Cidr, whole: Cidr): boolean {
  return part.prefix >= whole.prefix && isIpv4(part.ip) === isIpv4(whole.ip) && cidrContains(whole, part.ip);
}

/** What a request for an address wants: this one, or any of a part. */
export type AddressCall =
  | { readonly kind: "any"; readonly from: Cidr; readonly prefix: number }
  | { readonly kind: "this"; readonly cidr: Cidr };

/** Reads a request for an address. */
export function readAddressRequest(body: unknown): Decoded<AddressCall> {
  const fields = fieldsOf(body);
  const [id, address] = [textOf(fields, "PoolID"), textOf(fields, "Address")];
  if (!id.ok) return id;
  if (!address.ok) return address;
  const pool = readPoolId(id.value);
  if (pool === undefined) return bad(`Cannot give an address: there is no pool ${id.value}`);
  const { prefix } = pool.pool;
  if (address.value === "") {
    const isGateway = fieldsOf(fields["Options"])["RequestAddressType"] === GATEWAY_TYPE;
    return isGateway
      ? bad("Cannot give an address to a gateway: networks of meshnet have none")
      : good({ kind: "any", from: pool.from, prefix });
  }
  const ip = parseIp(address.value);
  return ip !== undefined && cidrContains(pool.pool, ip)
    ? good({ kind: "this", cidr: { ip, prefix } })
    : bad(`Cannot give address ${address.value}: it is not of ${formatCidr(pool.pool)}`);
}

/** Reads which address goes back; undefined: none that was given out. */
export function readAddressRelease(body: unknown): Ip | undefined {
  const address = textOf(fieldsOf(body), "Address");
  return address.ok ? parseIp(address.value) : undefined;
}

/** Whether a network may be made: its addresses must come from meshnet, or two hosts would give out the same. */
export function checkNetwork(body: unknown): Decoded<undefined> {
  const { IPv4Data: data } = fieldsOf(body);
  const all: readonly unknown[] = Array.isArray(data) ? data : [];
  const strange = all.find((one) => fieldsOf(one)["AddressSpace"] !== SPACES.local);
  return strange === undefined && all.length > 0 ? good(undefined) : bad(
    "Cannot make a network whose addresses Docker gives out on each host by itself: add --ipam-driver meshnet",
  );
}

/** An endpoint as it is to be. */
export interface EndpointCall {
  readonly ip: Ip;
  /** As the user wants it; undefined: any. */
  readonly mac: Mac | undefined;
}

/** Reads the id of an endpoint. */
export function readEndpointId(body: unknown): Decoded<string> {
  const id = textOf(fieldsOf(body), "EndpointID");
  return !id.ok || /^[0-9a-zA-Z]{1,128}$/.test(id.value) ? id : bad("Cannot use the endpoint: it has no id");
}

/** Reads what is asked about a new endpoint. */
export function readEndpoint(body: unknown): Decoded<EndpointCall> {
  const id = readEndpointId(body);
  if (!id.ok) return id;
  const wanted = fieldsOf(fieldsOf(body)["Interface"]);
  const [address, mac] = [textOf(wanted, "Address"), textOf(wanted, "MacAddress")];
  const cidr = address.ok ? parseCidr(address.value) : undefined;
  if (cidr === undefined) {
    return bad("Cannot make an endpoint without an address: create the network with --ipam-driver meshnet");
  }
  if (!mac.ok) return mac;
  const parsed = mac.value === "" ? undefined : parseMac(mac.value);
  if (mac.value !== "" && parsed === undefined) return bad(`Cannot use MAC address ${mac.value}`);
  return good({ ip: cidr.ip, mac: parsed });
}

/** The answer to CreateEndpoint: the MAC address, where Docker left the choice to us. */
export function endpointAnswer(mac: Mac | undefined): unknown {
  return mac === undefined ? { Interface: {} } : { Interface: { MacAddress: formatMac(mac) } };
}

/** Reads where a container's namespace will be; empty where that is not said. */
export function readSandbox(body: unknown): string {
  const path = textOf(fieldsOf(body), "SandboxKey");
  return path.ok && path.value.startsWith("/") && !path.value.includes("\0") ? path.value : "";
}

/** The answer to Join: Docker moves the interface into the container and names it with a number behind. No gateway: then
 * Docker adds its own bridge for the way out, and published ports work. Routes that two interfaces of one container would
 * have are refused by the kernel, so only the first one brings them. */
export function joinAnswer(
  { interfaceName, isFirst, prefix, routes }: {
    readonly interfaceName: string;
    readonly prefix: string;
    readonly routes: readonly string[];
    readonly isFirst: boolean;
  },
): unknown {
  return {
    InterfaceName: { SrcName: interfaceName, DstPrefix: prefix },
    StaticRoutes: isFirst ? routes.map((Destination) => ({ Destination, RouteType: 1 })) : [],
  };
}
