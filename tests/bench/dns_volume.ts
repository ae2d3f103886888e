/** What 50,000 names take in memory and on the wire, as JSON; run with `--v8-flags=--expose-gc`. */
import { directoryWith, periodicOctets } from "../unit/dns/volume.ts";

const NAMES = 50_000;
const collect = (globalThis as unknown as { gc(): void }).gc;

directoryWith(1_000); // the code is there
collect();
const before = Deno.memoryUsage().heapUsed;
const bench = directoryWith(NAMES);
bench.effects = [];
collect();
const heapMb = (Deno.memoryUsage().heapUsed - before) / 2 ** 20;
console.log(JSON.stringify({ names: bench.directory.store.size, heapMb, octets: periodicOctets(bench) }));
