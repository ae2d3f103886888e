/** Whom to ask what is not the mesh's own. */
import type { Endpoint, Ip } from "../core/addr.ts";
import { encodeName } from "../wire/dns/dns_text.ts";
import { nameserversOf } from "./resolv_conf.ts";

const DNS_PORT = 53;

/** A domain with servers of its own. */
export interface StubDomain {
  /** A whole name. */
  readonly domain: string;
  /** Its servers, the first one first. */
  readonly servers: readonly Endpoint[];
}

/** The servers of the host, and those of single domains. What is asked of them has passed `NameServer.answer`. */
export class Upstreams {
  readonly #ourselves: readonly Ip[];
  /** The longest domain first. */
  readonly #stubs: readonly { readonly wire: Uint8Array; readonly servers: readonly Endpoint[] }[];
  #servers: readonly Endpoint[] = [];

  /** `ourselves` are the addresses on which we listen: asking them would go round in circles. */
  constructor(stubs: readonly StubDomain[], ourselves: readonly Ip[]) {
    this.#ourselves = ourselves;
    this.#stubs = stubs.map(({ domain, servers }) => ({ wire: encodeName(domain.toLowerCase()), servers }))
      .sort((a, b) => b.wire.length - a.wire.length);
  }

  /** Takes the host's resolv.conf as it is now. */
  read(resolvConf: string): void {
    this.#servers = nameserversOf(resolvConf, this.#ourselves).map((ip) => ({ ip, port: DNS_PORT }));
  }

  /** The servers of the host, for status. */
  get servers(): readonly Endpoint[] {
    return this.#servers;
  }

  /** Whom to ask, the first one first; nobody: the answer is that it failed. `isBelow` is that of the index. */
  for(isBelow: (domain: Uint8Array) => boolean): readonly Endpoint[] {
    return this.#stubs.find(({ wire }) => isBelow(wire))?.servers ?? this.#servers;
  }
}
