/** Hosts whose names are below another domain than ours: nobody can ask for them here, nor for ours there. */
import type { Problem } from "../../control/api_types.ts";
import type { PeerName } from "../../core/names.ts";
import { isBelow } from "../../dns/records/domain.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";

/** Most hosts that the problem names. */
const MAX_NAMED = 4;

/** Counts them as entries come and go, so that nobody has to go through all names. */
export class OtherDomains {
  readonly #hosts = new Map<PeerName, { entries: number; readonly example: string }>();

  /** `domain` is ours, a whole name. */
  constructor(readonly domain: string) {}

  /** An entry that is answered came (1) or went (-1). */
  count({ hostname, origin }: Pick<DnsEntry, "hostname" | "origin">, by: 1 | -1): void {
    if (isBelow(hostname, this.domain)) return;
    const host = this.#hosts.get(origin) ?? { entries: 0, example: hostname };
    host.entries += by;
    if (host.entries > 0) this.#hosts.set(origin, host);
    else this.#hosts.delete(origin);
  }

  /** What people are told, once for all of these hosts. */
  problems(nicknames: ReadonlyMap<PeerName, string>): readonly Problem[] {
    const [first] = this.#hosts;
    if (first === undefined) return [];
    const some = [...this.#hosts.keys()].slice(0, MAX_NAMED).map((peer) => nicknames.get(peer) || peer);
    const left = this.#hosts.size - some.length;
    const domain = this.domain.slice(0, -1);
    const example = first[1].example.replace(/\.$/, "");
    return [{
      message: `Names of ${some.join(", ")}${left > 0 ? ` and ${left} more` : ""} are not below ${domain} ` +
        `(such as ${example}): they are not answered here`,
      hint: "Start all hosts with the same --dns-domain",
    }];
  }
}
