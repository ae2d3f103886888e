/** What becomes of a request to create a container. Pure. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { fieldsOf } from "../engine_api.ts";
import { fieldOf, type Fields, textField, withFields } from "./exact_json.ts";
import { type NetworkPlace, PLACE_VARIABLES, type PlaceReading, placeText, readPlaces } from "./places.ts";

/** Longest host name with its domain, characters: the kernel's limit. */
const MAX_HOST_NAME = 64;
/** Networks that are the engine's choice. Whoever names another one knows where the container is to be. */
const USUAL_NETWORKS = ["", "default", "bridge"];

/** How containers are created. */
export interface CreateOptions extends PlaceReading {
  /** Whether containers whose environment says nothing are attached, too. */
  readonly all: boolean;
  /** Of names of the mesh; undefined: host names have none. */
  readonly domain: string | undefined;
  readonly hostName: HostNameOptions;
}

/** Where a container that has no host name gets one from. */
export interface HostNameOptions {
  /** The label whose value it is; undefined: its name is. */
  readonly label: string | undefined;
  /** What of that is replaced, and by what: `$1` is the first group. */
  readonly match: RegExp | undefined;
  readonly replacement: string;
}

/** A container as it is to be created. */
export interface CreatePlan {
  /** What changes in the request; undefined: nothing. */
  readonly body: Fields | undefined;
  /** Where it is put before it starts. */
  readonly places: readonly NetworkPlace[];
}

/** Decides; undefined: the request is none of our business. Throws what parsing addresses throws.
 *
 * A body that makes no sense is the engine's to refuse. */
export function planCreate(
  body: unknown,
  { name, options }: { readonly name: string; readonly options: CreateOptions },
): Decoded<CreatePlan | undefined> {
  const fields = fieldsOf(body);
  const host = fieldsOf(fieldOf(fields, "HostConfig"));
  const networking = fieldsOf(fieldOf(fields, "NetworkingConfig"));
  const named = [
    textField(host, "NetworkMode"),
    ...Object.keys(fieldsOf(fieldOf(networking, "EndpointsConfig"))),
  ];
  if (named.some((network) => !USUAL_NETWORKS.includes(network))) return good(undefined);
  if (isOn(fieldOf(fields, "NetworkDisabled"))) return good(undefined);
  const text = placeText(fieldOf(fields, "Env"));
  if (text === undefined && !options.all) return good(undefined);
  const places = readPlaces(text ?? "", options);
  if (!places.ok) return bad(`Cannot use ${PLACE_VARIABLES[0]}: ${places.reason}`);
  if (places.value.length === 0) return good(undefined);
  return good({ body: withHostName(fields, name, options), places: places.value });
}

function isOn(value: unknown): boolean {
  return value === true;
}

/** The body with a host name, so that the container calls itself as others call it; undefined: it stays as it is. */
function withHostName(fields: Fields, name: string, { domain, hostName }: CreateOptions): Fields | undefined {
  if (textField(fields, "Hostname") !== "") return undefined;
  const { label, match, replacement } = hostName;
  const labels = fieldsOf(fieldOf(fields, "Labels"));
  const found = label === undefined ? undefined : labels[label];
  const base = typeof found === "string" && found !== "" ? found : name;
  const host = match === undefined ? base : base.replace(match, replacement);
  if (!/^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/.test(host)) return undefined;
  const own = textField(fields, "Domainname");
  const wanted = own !== "" ? own : domain ?? "";
  if (`${host}.${wanted}`.length > MAX_HOST_NAME) return undefined;
  return withFields(fields, { Hostname: host, ...wanted === "" ? {} : { Domainname: wanted } });
}

/** What becomes of a request to make a network: one of the mesh gets its addresses from there, too, unless it names somebody
 * else for them. By itself Docker would give out the same ones on each host. undefined: it stays as it is. */
export function planNetwork(body: unknown, driver: string): Fields | undefined {
  const fields = fieldsOf(body);
  const ipam = fieldsOf(fieldOf(fields, "IPAM"));
  if (textField(fields, "Driver") !== driver) return undefined;
  return ["", "default"].includes(textField(ipam, "Driver"))
    ? withFields(fields, { IPAM: withFields(ipam, { Driver: driver }) })
    : undefined;
}

/** The request that puts a created container on a network. */
export function connectRequest(container: string, { ip }: Pick<NetworkPlace, "ip">): Fields {
  const config = ip === undefined ? {} : { EndpointConfig: { IPAMConfig: { IPv4Address: ip } } };
  return { Container: container, ...config };
}

/** An answer about a container that shows its address of the mesh as if it were its only one: old clients look there.
 * undefined: it stays as it is. */
export function withMeshAddress(answer: unknown, isOurs: (network: string) => boolean): Fields | undefined {
  const fields = fieldsOf(answer);
  const settings = fieldsOf(fields["NetworkSettings"]);
  const found = Object.entries(fieldsOf(settings["Networks"])).find(([network]) => isOurs(network));
  const { IPAddress, IPPrefixLen, MacAddress } = fieldsOf(found?.[1]);
  if (typeof IPAddress !== "string" || IPAddress === "") return undefined;
  return { ...fields, NetworkSettings: { ...settings, IPAddress, IPPrefixLen, MacAddress } };
}
