/** What people write to name a host to connect to. */
import { formatEndpoint, type Ip, parseIp } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";

/** A target given by a person: a host with or without a port. */
export interface TargetSpec {
  /** Host name, or an address as written. */
  readonly host: string;
  /** The address, when `host` is one; otherwise the name is looked up at each attempt. */
  readonly ip: Ip | undefined;
  /** undefined: our own mesh port. */
  readonly port: number | undefined;
}

const HOST = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

const ZONE = /^\[?fe[89ab][0-9a-f]:[0-9a-f:.]*%/i;

/** fe80::/10: an address that means something on one interface only. Tunnels and other hosts could not use it. */
function isLinkLocal(ip: Ip): boolean {
  return /^fe[89ab][0-9a-f]:/.test(ip);
}

function refuseLinkLocal(text: string): string {
  return `target is a link-local address, which other hosts cannot use: ${text}; give a global one, or one of fd00::/8`;
}

/** Parses `host`, `host:port`, `v6` or `[v6]:port`. */
export function parseDialTarget(text: string): Decoded<TargetSpec> {
  const bare = parseIp(text);
  if (ZONE.test(text) || bare !== undefined && isLinkLocal(bare)) return bad(refuseLinkLocal(text));
  if (bare !== undefined) return good({ host: text, ip: bare, port: undefined });
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(text);
  if (match === null) return bad(`target is not HOST or HOST:PORT: ${text}`);
  const host = match[1] ?? match[2] ?? "";
  const ip = parseIp(host);
  if (ip !== undefined && isLinkLocal(ip)) return bad(refuseLinkLocal(text));
  if (ip === undefined && (match[1] !== undefined || !HOST.test(host) || /^[0-9.]+$/.test(host))) {
    return bad(`target has no valid host name or address: ${text}`);
  }
  if (match[3] === undefined) return good({ host, ip, port: undefined });
  const port = /^[0-9]{1,5}$/.test(match[3]) ? Number(match[3]) : 0;
  if (port < 1 || port > 65535) return bad(`port of target is not 1..65535: ${text}`);
  return good({ host, ip, port });
}

/** `ip:port` of an address of a target. */
export function dialAddress(ip: Ip, port: number | undefined, meshPort: number): string {
  return formatEndpoint({ ip, port: port ?? meshPort });
}
