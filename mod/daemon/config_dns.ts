/** Settings of names: the domain. */
import { isHostname } from "../wire/dns/dns_text.ts";
import { refuseSetting, settingText, type Sourced } from "./config_values.ts";

/** How names are answered. */
export interface DnsConfig {
  /** The domain of the mesh: a whole name in small letters, with a dot at its end. */
  readonly domain: string;
}

/** The domain unless told otherwise. */
const DOMAINS = { usual: "mesh.internal", weave: "weave.local" } as const;
/** Names below the domain are to fit into 253 characters. */
const LONGEST_DOMAIN = 180;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** The settings as they were given; undefined when there are no names. */
export function parseDns(
  { compat, domain, off }: {
    readonly compat: "weave" | undefined;
    readonly off: boolean;
    readonly domain: Sourced | undefined;
  },
): DnsConfig | undefined {
  const config = { domain: domain === undefined ? `${DOMAINS[compat ?? "usual"]}.` : domainOf(domain) };
  return off ? undefined : config;
}

function domainOf(given: Sourced): string {
  const name = `${settingText(given).toLowerCase().replace(/\.$/, "")}.`;
  const labels = name.slice(0, -1).split(".");
  if (name.length > LONGEST_DOMAIN) {
    refuseSetting(given, `Give one of at most ${LONGEST_DOMAIN - 1} characters`);
  }
  if (!isHostname(name) || !labels.every((label) => LABEL.test(label))) {
    refuseSetting(
      given,
      "Give a domain of letters, digits and hyphens with dots between, such as mesh.internal",
    );
  }
  if (labels.at(-1) === "arpa") refuseSetting(given, "Give another one: names of addresses are below arpa");
  return name;
}
