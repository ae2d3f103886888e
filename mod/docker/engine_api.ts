/** What a container engine says over its API, decoded. Nothing of it is trusted, and nothing here throws. */
import { type Cidr, type Mac, parseCidr, parseMac } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";

/** A version of the API, such as 1.41. */
interface ApiVersion {
  readonly major: number;
  readonly minor: number;
}

/** The oldest that has all that is asked for, and the newest that this was written for. */
const OLDEST: ApiVersion = { major: 1, minor: 24 };
const NEWEST: ApiVersion = { major: 1, minor: 51 };
/** Labels that are kept begin so: others are nobody's business here, and may be large. */
const LABEL_PREFIX = "meshnet.";
const MAX_LABELS = 16;
const MAX_LABEL = 1024;
const MAX_NAME = 256;

/** An engine that can be worked with. */
export interface EngineVersion {
  /** Of the program, for people. */
  readonly version: string;
  /** The version of the API to ask with: `1.41`. */
  readonly api: string;
}

/** Labels of ours, by name. */
export type Labels = ReadonlyMap<string, string>;

/** A container in the list of all. */
export interface ContainerSummary {
  readonly id: string;
  readonly name: string;
  /** Whether it may have a process now; looking at it tells. */
  readonly mayRun: boolean;
  readonly labels: Labels;
  /** Ids of its endpoints; none while it does not run. */
  readonly endpoints: readonly string[];
  /** Names of its networks, also while it does not run. */
  readonly networks: readonly string[];
}

/** A container's place in one of the engine's networks. */
export interface EngineEndpoint {
  /** Name of the network. */
  readonly network: string;
  /** Empty while the container does not run. */
  readonly id: string;
  /** undefined while it does not run. */
  readonly address: Cidr | undefined;
  /** undefined while it does not run. */
  readonly mac?: Mac | undefined;
  /** What the container is called in this network alone. */
  readonly aliases: readonly string[];
}

/** What the engine says of a container's health by its own check. `starting` and `none` say nothing yet. */
export type EngineHealth = "healthy" | "unhealthy" | "starting" | "none";

/** A container looked at. */
export interface ContainerDetails {
  readonly id: string;
  readonly name: string;
  /** Its first process, as the engine's host numbers it; undefined while it does not run. */
  readonly pid: number | undefined;
  readonly labels: Labels;
  /** As it calls itself. */
  readonly hostname: string;
  readonly endpoints: readonly EngineEndpoint[];
  /** Path of its network namespace as the engine's host has it; empty where there is none. */
  readonly sandbox: string;
  readonly health: EngineHealth;
  /** Its processes are stopped. */
  readonly paused: boolean;
}

/** Something happened to a container. */
export interface ContainerEvent {
  readonly id: string;
  readonly action: string;
  readonly labels: Labels;
  /** The driver of the network that it was connected to, or left; undefined: the event is about something else. */
  readonly driver: string | undefined;
}

/** Events that change what is asked of a container. Health checks run every few seconds: their own events are not asked
 * for, only those of what they find. */
export const EVENTS = [
  ...["start", "die", "destroy", "rename", "pause", "unpause", "connect", "disconnect"],
  "remove", // what podman calls destroy
  // Old engines compare the whole word.
  ...["health_status", "health_status: healthy", "health_status: unhealthy"],
] as const;
const MAX_NETWORKS = 64;
const MAX_ALIASES = 64;

/** Whether a text is a container's whole id. */
function isWholeId(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
}

/** Whether the engine may be asked for a container by this word: the characters of its names and ids. */
export function isContainerWord(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(text);
}

/** Which version of the API to ask with, from the answer to `/version`. */
export function decodeVersion(json: unknown): Decoded<EngineVersion> {
  const fields = fieldsOf(json);
  const newest = versionOf(fields["ApiVersion"]);
  if (newest === undefined) return bad(`ApiVersion is ${shown(fields["ApiVersion"])}`);
  const oldest = versionOf(fields["MinAPIVersion"]) ?? OLDEST;
  if (isBefore(newest, OLDEST)) return bad(`its API is ${textOf(newest)}, ${textOf(OLDEST)} is needed`);
  const wanted = isBefore(newest, NEWEST) ? newest : NEWEST;
  const api = isBefore(wanted, oldest) ? oldest : wanted;
  const version = fields["Version"];
  return good({ version: typeof version === "string" ? version.slice(0, MAX_NAME) : "?", api: textOf(api) });
}

/** The list of all containers. Entries that make no sense are left out. */
export function decodeContainerList(json: unknown): Decoded<readonly ContainerSummary[]> {
  if (!Array.isArray(json)) return bad(`the list of containers is ${shown(json)}`);
  return good(json.flatMap((entry): ContainerSummary[] => {
    const { Id: id, Labels: labels, Names: names, NetworkSettings, State: state } = fieldsOf(entry);
    if (!isWholeId(id)) return [];
    // A container that others link to has further names, with two slashes.
    const called: readonly unknown[] = Array.isArray(names) ? names : [];
    const name = called.find((one) => typeof one === "string" && one.lastIndexOf("/") <= 0);
    const mayRun = !["created", "exited", "dead", "configured", "stopped"].includes(String(state));
    const all = endpointsOf(NetworkSettings);
    const endpoints = all.flatMap((endpoint) => endpoint.id === "" ? [] : [endpoint.id]);
    const networks = all.map(({ network }) => network);
    return [{ id, name: nameOf(name), mayRun, labels: labelsOf(labels), endpoints, networks }];
  }));
}

/** One container, looked at. */
export function decodeContainer(json: unknown): Decoded<ContainerDetails> {
  const { Config, Id: id, Name, NetworkSettings, State } = fieldsOf(json);
  const state = fieldsOf(State);
  if (!isWholeId(id)) return bad(`the id of a container is ${shown(id)}`);
  const { Pid: pid, Running } = state;
  if (typeof Running !== "boolean") return bad(`Running of container ${id} is ${shown(Running)}`);
  const running = Running && state["Restarting"] !== true; // one that waits for its restart counts as running to Docker
  const isPid = typeof pid === "number" && Number.isInteger(pid) && pid > 0 && pid < 2 ** 31;
  if (running && !isPid) return bad(`Pid of container ${id} is ${shown(pid)}`);
  const { Hostname, Labels } = fieldsOf(Config);
  const { SandboxKey } = fieldsOf(NetworkSettings);
  return good({
    ...{ id, name: nameOf(Name), pid: running && isPid ? pid : undefined, labels: labelsOf(Labels) },
    hostname: nameOf(Hostname),
    endpoints: endpointsOf(NetworkSettings),
    sandbox: typeof SandboxKey === "string" && SandboxKey.length <= MAX_LABEL ? SandboxKey : "",
    health: healthOf(fieldsOf(state["Health"])["Status"]),
    paused: state["Paused"] === true,
  });
}

/** An event; undefined for one that is not about a container. */
export function decodeEvent(json: unknown): ContainerEvent | undefined {
  const { Action, Actor, Type, id: oldId, status } = fieldsOf(json);
  const { Attributes, ID } = fieldsOf(Actor);
  if (Type === "network") {
    const { container, type: driver } = fieldsOf(Attributes);
    if (!isWholeId(container) || typeof Action !== "string" || typeof driver !== "string") return undefined;
    return { id: container, action: Action.slice(0, MAX_NAME), labels: new Map(), driver };
  }
  if (Type !== undefined && Type !== "container") return undefined;
  const id = ID ?? oldId;
  const action = Action ?? status;
  if (!isWholeId(id) || typeof action !== "string") return undefined;
  return { id, action: action.slice(0, MAX_NAME), labels: labelsOf(Attributes), driver: undefined };
}

/** Path and query of a request for events of containers since a time. */
export function eventsPath(sinceSeconds: number): string {
  const filters = JSON.stringify({ type: ["container", "network"], event: EVENTS });
  return `/events?since=${sinceSeconds.toFixed(3)}&filters=${encodeURIComponent(filters)}`;
}

/** A network as it is to be made. */
export interface WantedNetwork {
  readonly name: string;
  /** Of the network and of its addresses. */
  readonly driver: string;
  /** Named, as Docker lets people choose addresses of such a network alone. */
  readonly subnet: string;
}

/** The body of a request that makes a network. */
export function networkRequest({ driver, name, subnet }: WantedNetwork): unknown {
  const IPAM = { Driver: driver, Config: [{ Subnet: subnet }] };
  return { Name: name, CheckDuplicate: true, Driver: driver, IPAM };
}

/** What the networks of an engine use. */
export interface NetworkUse {
  /** Addresses, without prefixes. */
  readonly addresses: ReadonlySet<string>;
  /** Ids of endpoints. */
  readonly endpoints: ReadonlySet<string>;
}

/** The ids of all networks. */
export function decodeNetworkList(json: unknown): Decoded<readonly string[]> {
  if (!Array.isArray(json)) return bad(`the list of networks is ${shown(json)}`);
  return good(json.map((one) => fieldsOf(one)["Id"]).filter(isWholeId));
}

/** The networks of a driver, with their names. */
export function decodeNetworksOf(
  json: unknown,
  driver: string,
): Decoded<readonly { readonly id: string; readonly name: string }[]> {
  if (!Array.isArray(json)) return bad(`the list of networks is ${shown(json)}`);
  return good(
    json.map(fieldsOf).flatMap(({ Driver, Id, Name }) => {
      return Driver === driver && isWholeId(Id) ? [{ id: Id, name: nameOf(Name) }] : [];
    }),
  );
}

/** What a network uses: its containers, its gateway, and addresses that are set aside for others. */
export function decodeNetworkUse(json: unknown): Decoded<NetworkUse> {
  const { Containers, IPAM, Id } = fieldsOf(json);
  if (!isWholeId(Id) || typeof Containers !== "object") return bad(`a network is ${shown(json)}`);
  // Other entries are what an engine could not remove when its container went.
  const used = Object.entries(fieldsOf(Containers)).flatMap(([id, place]) =>
    isWholeId(id) ? [fieldsOf(place)] : []
  );
  const { Config } = fieldsOf(IPAM);
  const configs: readonly unknown[] = Array.isArray(Config) ? Config : [];
  const others = configs.map(fieldsOf).flatMap(({ AuxiliaryAddresses, Gateway }) => [
    ...Object.values(fieldsOf(AuxiliaryAddresses)),
    Gateway,
  ]);
  const texts = [...used.map(({ IPv4Address }) => IPv4Address), ...others];
  const addresses = texts.flatMap((text) => typeof text === "string" ? [text.replace(/\/.*/, "")] : []);
  const endpoints = used.flatMap(({ EndpointID }) => typeof EndpointID === "string" ? [EndpointID] : []);
  return good({ addresses: new Set(addresses), endpoints: new Set(endpoints) });
}

/** A container's place in a network, as the network has it: of those that do not run there is none. */
export interface EnginePlace {
  /** Id of the endpoint. */
  readonly endpoint: string;
  /** Id of the container. */
  readonly container: string;
  /** What people call the container. */
  readonly name: string;
  /** Name of the network. */
  readonly network: string;
  readonly address: Cidr;
  readonly mac: Mac | undefined;
}

/** The places in a network. What is in it without a container is left out: engines keep what they could not remove. */
export function decodePlaces(json: unknown): Decoded<readonly EnginePlace[]> {
  const { Containers, Id, Name } = fieldsOf(json);
  if (!isWholeId(Id) || typeof Containers !== "object") return bad(`a network is ${shown(json)}`);
  return good(
    Object.entries(fieldsOf(Containers)).flatMap(([container, place]): EnginePlace[] => {
      const { EndpointID, IPv4Address, MacAddress, Name: name } = fieldsOf(place);
      const address = parseCidr(String(IPv4Address));
      if (!isWholeId(container) || !isEndpointId(EndpointID) || address === undefined) return [];
      const mac = parseMac(String(MacAddress));
      return [{ endpoint: EndpointID, container, name: nameOf(name), network: nameOf(Name), address, mac }];
    }),
  );
}

/** The driver of a network. */
export function decodeNetwork(json: unknown): Decoded<string> {
  const { Driver } = fieldsOf(json);
  return typeof Driver === "string" ? good(Driver.slice(0, MAX_NAME)) : bad(`Driver is ${shown(Driver)}`);
}

/** An object of JSON as it is; of anything else nothing. */
export function fieldsOf(json: unknown): Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? json as Record<string, unknown>
    : {};
}

function endpointsOf(settings: unknown): readonly EngineEndpoint[] {
  const { Networks } = fieldsOf(settings);
  return Object.entries(fieldsOf(Networks)).slice(0, MAX_NETWORKS).map(([network, endpoint]) => {
    const { Aliases, EndpointID, IPAddress, IPPrefixLen, MacAddress } = fieldsOf(endpoint);
    const aliases = Array.isArray(Aliases) ? Aliases : [];
    const mac = parseMac(String(MacAddress));
    return {
      network: network.slice(0, MAX_NAME),
      id: isEndpointId(EndpointID) ? EndpointID : "",
      address: parseCidr(`${IPAddress}/${IPPrefixLen}`),
      ...mac === undefined ? {} : { mac },
      aliases: aliases.filter((alias) => typeof alias === "string").slice(0, MAX_ALIASES)
        .map((alias) => alias.slice(0, MAX_NAME)),
    };
  });
}

function isEndpointId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-zA-Z]{1,128}$/.test(value);
}

function healthOf(status: unknown): EngineHealth {
  return status === "healthy" || status === "unhealthy" || status === "starting" ? status : "none";
}

function nameOf(value: unknown): string {
  return typeof value === "string" ? value.replace(/^\//, "").slice(0, MAX_NAME) : "";
}

function labelsOf(value: unknown): Labels {
  const labels = new Map<string, string>();
  for (const [name, text] of Object.entries(fieldsOf(value))) {
    if (labels.size >= MAX_LABELS) break;
    if (!name.startsWith(LABEL_PREFIX) || name.length > MAX_NAME) continue;
    if (typeof text === "string" && text.length <= MAX_LABEL) labels.set(name, text);
  }
  return labels;
}

function versionOf(value: unknown): ApiVersion | undefined {
  const [, major, minor] = /^([0-9]{1,3})\.([0-9]{1,4})$/.exec(typeof value === "string" ? value : "") ?? [];
  return major === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}

function isBefore(a: ApiVersion, b: ApiVersion): boolean {
  return a.major < b.major || a.major === b.major && a.minor < b.minor;
}

function textOf({ major, minor }: ApiVersion): string {
  return `${major}.${minor}`;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "missing").slice(0, 80);
}
