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
  readonly #alsoUs: readonly Ip[];
  #ourselves: readonly Ip[];
  #text = "";
  /** The longest domain first. */
  readonly #stubs: readonly { readonly wire: Uint8Array; readonly servers: readonly Endpoint[] }[];
  #servers: readonly Endpoint[] = [];

  /** `alsoUs` are addresses that lead to us: asking them would go round in circles. */
  constructor(stubs: readonly StubDomain[], alsoUs: readonly Ip[]) {
    this.#alsoUs = this.#ourselves = alsoUs;
    this.#stubs = stubs.map(({ domain, servers }) => ({ wire: encodeName(domain.toLowerCase()), servers }))
      .sort((a, b) => b.wire.length - a.wire.length);
  }

  /** Takes the host's resolv.conf as it is now. */
  read(resolvConf: string): void {
    this.#text = resolvConf;
    this.#servers = nameserversOf(resolvConf, this.#ourselves).map((ip) => ({ ip, port: DNS_PORT }));
  }

  /** Takes the addresses on which we listen, which lead to us as well. */
  avoid(listening: readonly Ip[]): void {
    this.#ourselves = [...this.#alsoUs, ...listening];
    this.read(this.#text);
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
