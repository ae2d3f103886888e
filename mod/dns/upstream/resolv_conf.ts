/** The file that says whom to ask: reading the host's, writing a container's. */
import { type Ip, parseIp } from "../../core/addr.ts";

/** More servers than this are not read; libraries read three. */
const MAX_SERVERS = 16;

/** The name servers of a resolv.conf in order, each once, without those that are ourselves. */
export function nameserversOf(text: string, ourselves: readonly Ip[]): readonly Ip[] {
  const servers = new Set<Ip>();
  for (const line of text.split("\n")) {
    const [word, address] = line.trim().split(/\s+/);
    if (word !== "nameserver" || address === undefined) continue;
    const ip = parseIp(address.replace(/%.*$/, ""));
    if (ip !== undefined && !ourselves.includes(ip) && servers.size < MAX_SERVERS) servers.add(ip);
  }
  return [...servers];
}

/**
 * What a container's resolv.conf becomes: it asks us alone, looks below our domain first, and keeps its other domains and
 * options. Written again on its own result, it stays as it is.
 */
export function resolvConfFor(
  text: string,
  options: { readonly server: Ip; readonly domain: string },
): string {
  const domain = options.domain.replace(/\.$/, "");
  const kept: string[] = [];
  let domains: string[] = [];
  for (const line of text.split("\n")) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === "search" || word === "domain") domains = rest; // the last one counts
    else if (word === "options" || word === "sortlist") kept.push(line.trim());
  }
  const search = [
    domain,
    ...domains.filter((each) => each !== domain && each !== "." && each !== `${domain}.`),
  ];
  return [`nameserver ${options.server}`, `search ${search.join(" ")}`, ...kept, ""].join("\n");
}
