/** Addresses that other peers' records reveal (source: spec mesh.md, section 9.2). */
import type { PeerName } from "../../core/names.ts";
import type { Millis } from "../../core/time.ts";
import type { PeerRecord } from "../../core/topology_record.ts";
import type { ConnectorView } from "./connector_types.ts";

const MAX_DISCOVERED = 4_096;
/** Records are searched at least this often if something changes, milliseconds. */
const SEARCH_INTERVAL = 5_000;

/** Addresses worth dialling, as `ip:port` text exactly as published, with the peer expected there. */
export type Candidates = ReadonlyMap<string, PeerName>;

/** What the search needs to know of ourselves. */
interface DiscoverOptions {
  readonly self: PeerName;
  /** Our own mesh port: completes addresses of which only the IP is meaningful. */
  readonly port: number;
  isConnected(peer: PeerName): boolean;
  /** Largest number of addresses returned. */
  readonly limit: number;
}

/** The search for addresses: how large the mesh is, and what there is to dial in it. */
export class Discovery {
  /** How many connections the mesh has or, if it is starting, soon will have. */
  size = 0;
  #searched = -Infinity;

  constructor(
    readonly options: { readonly self: PeerName; readonly port: number; readonly discovery: boolean },
  ) {}

  /** Addresses of peers that we are not connected to. `enough`: enough of them wait already, so the search is made only if
   * the last one was long ago, and gives undefined otherwise. */
  search(
    view: ConnectorView,
    { enough, now }: { readonly enough: boolean; readonly now: Millis },
  ): Candidates | undefined {
    if (enough && now - this.#searched < SEARCH_INTERVAL) return undefined;
    this.#searched = now;
    this.size = 0;
    let peers = 0;
    const { discovery, port, self } = this.options;
    if (!discovery || view.full) return new Map();
    let strangers = false;
    for (const { name, links } of view.records()) {
      peers++;
      this.size += links.length;
      strangers ||= name !== self && !view.isConnected(name);
    }
    this.size = Math.max(this.size, peers * peers);
    if (!strangers) return new Map();
    const isConnected = (peer: PeerName) => view.isConnected(peer);
    return discover(view.records(), { self, port, isConnected, limit: MAX_DISCOVERED });
  }
}

/** Addresses of peers that we are not connected to, as their neighbours see them. */
function discover(records: Iterable<PeerRecord>, options: DiscoverOptions): Candidates {
  const { self, port, limit } = options;
  const found = new Map<string, PeerName>();
  // In a large mesh every neighbour repeats the same address; remembering the last one per peer saves the string work.
  const seen = new Map<PeerName, { ip: string; whole: string }>();
  for (const record of records) {
    if (record.name === self) continue;
    for (const link of record.links) {
      if (link.peer === self || options.isConnected(link.peer)) continue;
      const last = seen.get(link.peer);
      if (last !== undefined && repeats(last, link.address, link.outbound)) continue;
      const colon = link.address.lastIndexOf(":");
      if (colon < 0) continue;
      const ip = link.address.slice(0, colon);
      const whole = link.outbound ? link.address : `${ip}:${port}`;
      seen.set(link.peer, { ip, whole });
      if (!found.has(whole) && found.size < limit) found.set(whole, link.peer);
    }
  }
  return found;
}

function repeats(last: { ip: string; whole: string }, address: string, outbound: boolean): boolean {
  if (outbound) return address === last.whole;
  return address.startsWith(last.ip) && address.charCodeAt(last.ip.length) === 58 &&
    address.indexOf(":", last.ip.length + 1) < 0;
}
