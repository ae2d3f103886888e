/** Whom to ask what is not the mesh's own. */
import type { Endpoint, Ip } from "../../core/addr.ts";
import { encodeName } from "../../wire/dns/dns_text.ts";
import { nameserversOf } from "./resolv_conf.ts";
import type { DnsListener } from "../service_types.ts";

const DNS_PORT = 53;
const ROOT = new Uint8Array(1);

/** A domain with servers of its own. */
export interface StubDomain {
  /** A whole name. */
  readonly domain: string;
  /** Its servers, the first one first. */
  readonly servers: readonly Endpoint[];
}

/** The servers of the host, and those of single domains. What is asked of them has passed `NameServer.answer`. */
export class Upstreams {
  #ourselves: readonly Ip[] = [];
  #text = "";
  /** The longest domain first. */
  readonly #stubs: readonly (StubDomain & { readonly wire: Uint8Array })[];
  #servers: readonly Endpoint[] = [];

  constructor(stubs: readonly StubDomain[]) {
    this.#stubs = stubs.map((stub) => ({ ...stub, wire: encodeName(stub.domain.toLowerCase()) }))
      .sort((a, b) => b.wire.length - a.wire.length);
  }

  /** Takes the host's resolv.conf as it is now. */
  read(resolvConf: string): void {
    this.#text = resolvConf;
    this.#servers = nameserversOf(resolvConf, this.#ourselves).map((ip) => ({ ip, port: DNS_PORT }));
  }

  /** Takes the addresses on which we are to listen. Where we do, on the port that is asked, a question would come round in
   * a circle. Where another program has the port, or we have another port, that program is asked. */
  avoid(listeners: readonly DnsListener[]): void {
    const ours = listeners.filter(({ endpoint, state }) =>
      state === "listening" && endpoint.port === DNS_PORT
    );
    this.#ourselves = ours.map(({ endpoint }) => endpoint.ip);
    this.read(this.#text);
  }

  /** The servers of the host, for status. */
  get servers(): readonly Endpoint[] {
    return this.#servers;
  }

  /** The host's servers and those of single domains, with a name to ask each for: that of its domain, or the root's. */
  all(): readonly {
    readonly domain: string | undefined;
    readonly server: Endpoint;
    readonly wire: Uint8Array;
  }[] {
    return [
      ...this.#servers.map((server) => ({ domain: undefined, server, wire: ROOT })),
      ...this.#stubs.flatMap(({ domain, servers, wire }) =>
        servers.map((server) => ({ domain, server, wire }))
      ),
    ];
  }

  /** Whom to ask, the first one first; nobody: the answer is that it failed. `isBelow` is that of the index. */
  for(isBelow: (domain: Uint8Array) => boolean): readonly Endpoint[] {
    return this.#stubs.find(({ wire }) => isBelow(wire))?.servers ?? this.#servers;
  }
}
