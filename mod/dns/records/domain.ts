/** Which names are the mesh's own. */
import { isHostname } from "../../wire/dns/dns_text.ts";

/** A whole name: with the dot at its end. */
export function whole(name: string): string {
  return name.endsWith(".") ? name : `${name}.`;
}

/** Whether a whole name is a domain or below it; letters count alike in both cases. */
export function isBelow(hostname: string, domain: string): boolean {
  const [name, end] = [hostname.toLowerCase(), domain.toLowerCase()];
  return name === end || name.endsWith(`.${end}`);
}

/**
 * The whole name that a person means: what ends in a dot or is below the domain is taken as it is, anything else gets
 * the domain.
 */
export function qualified(name: string, domain: string): string {
  return name.endsWith(".") || isBelow(`${name}.`, domain) ? whole(name) : `${name}.${domain}`;
}

/** The name of a host, `<nickname>.host.<domain>`; undefined where nothing of the nickname can be in a name. */
export function hostName(nickname: string, domain: string): string | undefined {
  const short = nickname.split(".")[0]!.toLowerCase();
  const label = short.replace(/[^a-z0-9-]+/g, "-").slice(0, 63).replace(/^-+|-+$/g, "");
  const name = `${label}.host.${domain}`;
  return isHostname(name) ? name : undefined;
}
