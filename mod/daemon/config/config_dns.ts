/** Settings of names: the domain, how they are answered, where, and who answers the rest. */
import { type Endpoint, parseEndpoint, parseIp } from "../../core/addr.ts";
import type { DnsOrder } from "../../dns/service_types.ts";
import { isBelow } from "../../dns/records/domain.ts";
import type { StubDomain } from "../../dns/upstream/upstream.ts";
import { isHostname } from "../../wire/dns/dns_text.ts";
import { PARSERS, refuseSetting, settingList, settingText, type Sourced } from "./config_values.ts";

/** How names are answered. */
export interface DnsConfig {
  /** The domain of the mesh: a whole name in small letters, with a dot at its end. */
  readonly domain: string;
  /** For how many seconds clients may keep an answer; undefined: 0 if it is balanced, else 1. */
  readonly ttl: number | undefined;
  /** In which order targets are answered, unless a name says otherwise. */
  readonly order: DnsOrder;
  /** Addresses on which this host answers besides that for containers. */
  readonly listen: readonly Endpoint[];
  /** Domains with servers of their own. */
  readonly stubs: readonly StubDomain[];
  /** The file that names the servers for everything else. Absolute. */
  readonly resolvConf: string;
}

/** The domain unless told otherwise. */
const DOMAINS = { usual: "mesh.internal", weave: "weave.local" } as const;
/** Names below the domain are to fit into 253 characters. */
const LONGEST_DOMAIN = 180;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const DNS_PORT = 53;
/** Most addresses to listen on, and most domains with servers of their own. */
const MOST = { listen: 16, stubs: 64, servers: 8 } as const;

/** The settings as they were given; undefined when there are no names. */
export function parseDns(
  { compat, cwd, off, pick }: {
    readonly compat: "weave" | undefined;
    readonly cwd: string;
    readonly off: boolean;
    readonly pick: (
      name: "dns-domain" | "dns-ttl" | "dns-order" | "dns-listen" | "dns-forward" | "resolv-conf",
    ) => Sourced | undefined;
  },
): DnsConfig | undefined {
  const given = pick("dns-domain");
  const domain = given === undefined ? `${DOMAINS[compat ?? "usual"]}.` : domainOf(given);
  const config = {
    domain,
    ttl: PARSERS.dnsTtl(pick("dns-ttl")),
    order: PARSERS.dnsOrder(pick("dns-order")!),
    listen: listenOf(pick("dns-listen")),
    stubs: stubsOf(pick("dns-forward"), domain),
    resolvConf: PARSERS.path(pick("resolv-conf")!, cwd),
  };
  return off ? undefined : config;
}

function domainOf(given: Sourced): string {
  const name = `${settingText(given).toLowerCase().replace(/\.$/, "")}.`;
  if (name.length > LONGEST_DOMAIN) {
    refuseSetting(given, `Give one of at most ${LONGEST_DOMAIN - 1} characters`);
  }
  if (!isDomain(name)) {
    const hint = "Give a domain of letters, digits and hyphens with dots between, such as mesh.internal";
    refuseSetting(given, hint);
  }
  if (isBelow(name, "arpa.")) refuseSetting(given, "Give another one: names of addresses are below arpa");
  return name;
}

function isDomain(name: string): boolean {
  return isHostname(name) && name.slice(0, -1).split(".").every((label) => LABEL.test(label));
}

function listenOf(given: Sourced | undefined): readonly Endpoint[] {
  const items = settingList(given);
  if (items.length > MOST.listen) refuseSetting(given!, `Give at most ${MOST.listen} addresses`);
  return items.map((item) =>
    endpointOf(item) ??
      refuseSetting(
        { ...given!, value: item },
        "Give ADDRESS or ADDRESS:PORT of this host, such as 127.0.0.1, 192.0.2.10:5353 or [::1]:53",
      )
  );
}

function endpointOf(text: string): Endpoint | undefined {
  const ip = parseIp(text);
  const endpoint = ip === undefined ? parseEndpoint(text) : { ip, port: DNS_PORT };
  return endpoint !== undefined && endpoint.port > 0 ? endpoint : undefined;
}

function stubsOf(given: Sourced | undefined, own: string): readonly StubDomain[] {
  const stubs = new Map<string, Endpoint[]>();
  for (const item of settingList(given)) {
    const wrong = (hint: string) => refuseSetting({ ...given!, value: item }, hint);
    const [, name = "", server = ""] = /^([^=]*)=(.*)$/.exec(item) ?? [];
    const domain = `${name.toLowerCase().replace(/\.$/, "")}.`;
    const endpoint = endpointOf(server);
    if (!isDomain(domain) || endpoint === undefined) {
      return wrong("Give DOMAIN=SERVER, such as corp.example=10.0.0.53 or corp.example=10.0.0.53:5353");
    }
    if (isBelow(domain, own)) {
      return wrong(`Give another domain: ${own.slice(0, -1)} is answered by the mesh itself`);
    }
    const servers = stubs.get(domain) ?? [];
    servers.push(endpoint);
    stubs.set(domain, servers);
    if (servers.length > MOST.servers) return wrong(`Give at most ${MOST.servers} servers for a domain`);
    if (stubs.size > MOST.stubs) return wrong(`Give at most ${MOST.stubs} domains`);
  }
  return [...stubs].map(([domain, servers]) => ({ domain, servers }));
}
