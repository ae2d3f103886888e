/** A name server without a thread: it keeps what it is told, for tests of those that tell it. */
import type { PeerName } from "../../../mod/core/names.ts";
import type { ProbedTarget } from "../../../mod/dns/thread/health_check.ts";
import type { DnsClient } from "../../../mod/dns/answers/clients.ts";
import type { NameService } from "../../../mod/daemon/threads/names_client.ts";
import type {
  DnsEndpoint,
  DnsListener,
  DnsReport,
  InsidePlace,
  OtherServer,
} from "../../../mod/dns/service_types.ts";
import { type DnsEntry, entryIdentity } from "../../../mod/wire/dns/dns_gossip.ts";

/** All counts at zero. */
export const NO_COUNTS: DnsReport["counters"] = {
  ...{ queries: 0, answered: 0, unknown: 0, forwarded: 0, cached: 0, failed: 0 },
  ...{ spoofed: 0, malformed: 0, limited: 0, refused: 0 },
};

/** Takes every address unless `taken` says by whom it is taken. */
export class FakeNameService implements NameService {
  readonly entries = new Map<string, DnsEntry>();
  readonly clients = new Map<string, DnsClient>();
  readonly probed = new Map<string, ProbedTarget>();
  readonly inside = new Map<string, InsidePlace>();
  readonly taken = new Map<string, string>();
  distances: ReadonlyMap<PeerName, number> = new Map();
  listeners: readonly DnsListener[] = [];
  servers: readonly OtherServer[] = [];
  isNeeded = true;
  stopped = false;

  readonly watch = (before: DnsEntry | undefined, after: DnsEntry | undefined): void => {
    if (before !== undefined) this.entries.delete(`${before.origin} ${entryIdentity(before)}`);
    if (after !== undefined) this.entries.set(`${after.origin} ${entryIdentity(after)}`, after);
  };

  setClient(id: string, client: DnsClient): void {
    this.clients.set(id, client);
  }

  removeClient(id: string): void {
    this.clients.delete(id);
  }

  probe(id: string, target: ProbedTarget | undefined): void {
    if (target === undefined) this.probed.delete(id);
    else this.probed.set(id, target);
  }

  setDistances(rttMs: ReadonlyMap<PeerName, number>): void {
    this.distances = rttMs;
  }

  listen(endpoints: readonly DnsEndpoint[]): void {
    this.listeners = endpoints.map((endpoint) => {
      const reason = this.taken.get(endpoint.ip);
      return reason === undefined
        ? { endpoint, state: "listening" }
        : { endpoint, state: "waiting", reason, hint: "Stop it" };
    });
  }

  serveInside(id: string, place: InsidePlace | undefined): void {
    if (place === undefined) this.inside.delete(id);
    else this.inside.set(id, place);
  }

  expectClient(): void {
    this.isNeeded = true;
  }

  settled(): Promise<void> {
    return Promise.resolve();
  }

  report(): Promise<DnsReport> {
    const { listeners } = this;
    const { servers } = this;
    const common = { listeners, servers, upstreams: [], counters: NO_COUNTS };
    return Promise.resolve({ ...common, names: this.entries.size });
  }

  stop(): Promise<void> {
    this.stopped = true;
    return Promise.resolve();
  }
}
