/** A host that knows very many names: what they take. */
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { Bench, entry, peer } from "./bench.ts";

/** Hosts that give the names. */
const ORIGINS = 10;
/** Most entries of one message. */
const BATCH = 1_000;

/** A directory that knows so many names of ten hosts, one a container, whose ids are as long as those of Docker. */
export function directoryWith(names: number): Bench {
  const bench = new Bench();
  for (let i = 2; i < 2 + ORIGINS; i++) {
    bench.known.add(peer(i));
    bench.comparing.add(peer(i));
  }
  for (let from = 0; from < names; from += BATCH) {
    bench.hear(Array.from({ length: Math.min(BATCH, names - from) }, (_, i) => nameOf(from + i)));
  }
  return bench;
}

function nameOf(i: number): DnsEntry {
  return entry({
    ...{ container: i.toString(16).padStart(64, "0"), origin: peer(2 + i % ORIGINS), addr: 0x0a20_0001 + i },
    hostname: `service-${i}.weave.local.`,
  });
}

/** Octets that a host sends to a neighbour that knows the same, each time that it tells what it has. */
export function periodicOctets({ channel }: Bench): number {
  return [...channel.fullState().encode(peer(2))].reduce((sum, { length }) => sum + length, 0);
}
