/** Turns what people wrote into settings; every refusal names the source, the value and what would do. */
import { type Cidr, type Ip, parseCidr, parseIp } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { parsePeerName, type PeerName, UNKNOWN_PEER } from "../../core/names.ts";
import { CONTROL_SOCKET, DEFAULT_ENGINE_SOCKET, UP_OPTIONS, type UpOptionName } from "../../core/options.ts";
import { closest } from "../../core/suggest.ts";
import type { DnsOrder } from "../../dns/service_types.ts";
import { parseDialTarget } from "../../mesh/dialing/target.ts";
import type { RawValue } from "./config_file.ts";

/** A frame of this size and all headers around it fit one packet of IPv6; the kernel's TAP takes 65,521. */
const LARGEST_MTU = 65_400;

/** A raw value with the name of its source, for messages. */
export interface Sourced {
  /** As given. */
  readonly value: RawValue;
  /** What kind of source gave it. */
  readonly source: "flag" | "environment" | "file" | "default";
  /** `--port`, `MESHNET_PORT`, `port in /etc/meshnet/meshnet.toml`. */
  readonly label: string;
}

/** Longest path of a Unix socket. */
const SOCKET_PATH_BYTES = 107;
const MAX_NICKNAME = 255;
/** Most of a refused value that a message repeats. */
const MAX_SHOWN = 200;

/** Throws: the value of a source cannot be used. */
export function refuseSetting(given: Sourced, hint: string): never {
  const code = given.source === "flag" ? "usage/bad-option" : "usage/bad-config";
  const typed = JSON.stringify(given.value);
  const shown = typed.length <= MAX_SHOWN
    ? typed
    : `${typed.slice(0, MAX_SHOWN)}... (${typed.length} characters)`;
  throw new MeshnetError(code, `Cannot use ${given.label}: value is ${shown}`, { hint });
}

/** The value as one text without blanks around it. */
export function settingText(given: Sourced): string {
  return typeof given.value === "string" ? given.value.trim() : refuseSetting(given, "Give one text");
}

/** The items of a list. An empty text is an empty list. A text of separators alone is a mistake: some script's variables
 * were empty. */
export function settingList(given: Sourced | undefined): readonly string[] {
  if (given === undefined) return [];
  const { value } = given;
  if (typeof value === "string" && value.trim() === "") return [];
  const items = typeof value === "string" ? value.split(",").map((item) => item.trim()) : value;
  if (!Array.isArray(items)) return refuseSetting(given, "Give a list");
  if (!items.some((item) => item.trim() === "")) return items;
  return refuseSetting(
    given,
    "Nothing stands between the commas in one place, perhaps for a variable that is not set; an empty text for none",
  );
}

function number(given: Sourced, range: { least: number; most: number; example: string }): number {
  const digits = typeof given.value === "string" && /^[0-9]{1,9}$/.test(given.value.trim());
  const value = digits || typeof given.value === "number" ? Number(given.value) : NaN;
  if (Number.isInteger(value) && value >= range.least && value <= range.most) return value;
  return refuseSetting(
    given,
    `Give a whole number from ${range.least} to ${range.most}, for example ${range.example}`,
  );
}

function choice<T extends string>(name: UpOptionName, given: Sourced): T {
  const choices = UP_OPTIONS.find((option) => option.name === name)!.choices!;
  const value = settingText(given);
  if (choices.includes(value)) return value as T;
  const near = closest(value, choices);
  return refuseSetting(given, near === undefined ? `Give ${choices.join(" or ")}` : `Did you mean ${near}?`);
}

function path(given: Sourced, cwd: string): string {
  const value = settingText(given);
  if (value === "" || value.includes("\0")) refuseSetting(given, "Give a path");
  const absolute = value.startsWith("/") ? value : `${cwd}/${value}`;
  return absolute.length > 1 ? absolute.replace(/\/+$/, "") || "/" : absolute;
}

/** The absolute path of a socket, with or without `unix://`. */
function socketPath(value: string): string | undefined {
  const path = /^(?:unix:\/\/)?(\/[^\0]+)$/.exec(value)?.[1];
  return path !== undefined && new TextEncoder().encode(path).length <= SOCKET_PATH_BYTES ? path : undefined;
}

/** One parser for each kind of setting; those that take undefined give what holds when nobody sets it. */
export const PARSERS = {
  peers(given: Sourced | undefined): readonly string[] | undefined {
    if (given === undefined) return undefined;
    const targets = settingList(given);
    for (const target of targets) {
      const parsed = parseDialTarget(target);
      if (!parsed.ok) {
        const hint = /link-local/.test(parsed.reason)
          ? "Other hosts cannot use a link-local address: give a global one, or one of fd00::/8"
          : "Give HOST or HOST:PORT, several separated by commas";
        refuseSetting({ ...given, value: target }, hint);
      }
    }
    return targets;
  },
  name(given: Sourced | undefined): PeerName | undefined {
    if (given === undefined) return undefined;
    const name = parsePeerName(settingText(given));
    if (name !== undefined && (Number.parseInt(name.slice(0, 2), 16) & 1) === 1) {
      refuseSetting(
        given,
        "That is an address of a group: give one whose first octet is even, for example 8a:3e:11:02:9c:01",
      );
    }
    return name !== undefined && name !== UNKNOWN_PEER ? name : refuseSetting(
      given,
      "Give six octets in hexadecimal, for example 8a:3e:11:02:9c:01; or leave it out",
    );
  },
  nickname(given: Sourced | undefined): string | undefined {
    if (given === undefined) return undefined;
    const nickname = settingText(given);
    // deno-lint-ignore no-control-regex -- control characters are what is refused
    const fits = nickname !== "" && nickname.length <= MAX_NICKNAME && !/[\x00-\x1f\x7f]/.test(nickname);
    return fits ? nickname : refuseSetting(given, `Give 1 to ${MAX_NICKNAME} printable characters`);
  },
  port(given: Sourced): number {
    return number(given, { least: 1, most: 65_534, example: "6783" }); // the next port carries the tunnels
  },
  host(given: Sourced | undefined): Ip | undefined {
    if (given === undefined) return undefined;
    return parseIp(settingText(given)) ??
      refuseSetting(given, "Give an address of this host, for example 192.0.2.10");
  },
  subnets(given: Sourced | undefined): readonly Cidr[] {
    return settingList(given).map((item) =>
      parseCidr(item) ??
        refuseSetting({ ...given!, value: item }, "Give ADDRESS/PREFIX, for example 10.0.0.0/8")
    );
  },
  flag(given: Sourced | undefined): boolean {
    if (given === undefined) return false;
    if (typeof given.value === "boolean") return given.value;
    const value = String(given.value).trim().toLowerCase();
    if (["1", "true", "yes", "on"].includes(value)) return true;
    return ["0", "false", "no", "off"].includes(value) ? false : refuseSetting(given, "Give true or false");
  },
  connLimit(given: Sourced): number {
    return number(given, { least: 0, most: 100_000, example: "200 (0 for no limit)" });
  },
  datapath(given: Sourced): "auto" | "ovs" | "ebpf" | "bridge" {
    return choice("datapath", given);
  },
  mtu(given: Sourced | undefined): number | undefined {
    return given && number(given, { least: 576, most: LARGEST_MTU, example: "1410" });
  },
  firewall(given: Sourced): "auto" | "report" | "off" {
    return choice("firewall", given);
  },
  docker(given: Sourced): string | undefined {
    const value = settingText(given);
    if (value === "off") return undefined;
    if (value === "auto") return DEFAULT_ENGINE_SOCKET;
    return socketPath(value) ?? refuseSetting(
      given,
      "Give auto, off, or the engine's socket, for example unix:///run/podman/podman.sock",
    );
  },
  dockerPlugin(given: Sourced): string | undefined {
    const value = settingText(given);
    if (value === "off") return undefined;
    return socketPath(value) ??
      refuseSetting(given, "Give off, or a path; Docker looks in /run/docker/plugins for NAME.sock");
  },
  /** As socketPath() reads it; undefined: the text is no path of a socket. */
  socketPath,
  proxyAttach(given: Sourced): "all" | "asked" {
    return choice("docker-proxy-attach", given);
  },
  dnsTtl(given: Sourced | undefined): number | undefined {
    return given && number(given, { least: 0, most: 86_400, example: "1" });
  },
  dnsOrder(given: Sourced): DnsOrder {
    return choice("dns-order", given);
  },
  compat(given: Sourced | undefined): "weave" | undefined {
    return given && choice("compat", given);
  },
  logLevel(given: Sourced): "debug" | "info" | "warn" | "error" {
    return choice("log-level", given);
  },
  logFormat(given: Sourced): "text" | "json" {
    return choice("log-format", given);
  },
  path,
  runDir(given: Sourced, cwd: string): string {
    const folder = path(given, cwd);
    const room = SOCKET_PATH_BYTES - new TextEncoder().encode(`${folder}/${CONTROL_SOCKET}`).length;
    return room >= 0
      ? folder
      : refuseSetting(given, `Give a path that is ${-room} bytes shorter: it holds a Unix socket`);
  },
};
