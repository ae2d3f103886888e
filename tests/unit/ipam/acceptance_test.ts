/** What users of such a network expect of addresses, one case each; the table in mod/ipam/README.md says where the rest is. */
import assert from "node:assert/strict";
import type { Init } from "../../../mod/ipam/allocator_types.ts";
import { peer, told } from "./bench.ts";
import { Cluster, type Host } from "./cluster.ts";

const CONSENSUS: Init = { kind: "consensus", peers: 3 };
const OBSERVER: Init = { kind: "observer" };

/** Hosts of which each begins in its own way; undefined: it is down. */
function clusterOf(...inits: readonly (Init | undefined)[]): { cluster: Cluster; hosts: Host[] } {
  const cluster = new Cluster({ seed: 3, hosts: inits.length, range: "10.32.0.0/22" });
  for (const [i, host] of cluster.hosts.entries()) {
    host.kill();
    host.disk.clear();
    const init = inits[i];
    if (init === undefined) continue;
    host.init = init;
    host.start();
  }
  cluster.rewire();
  cluster.clock.run(2_000);
  return { cluster, hosts: cluster.hosts };
}

function addresses(hosts: readonly Host[]): string[] {
  return hosts.flatMap((host) =>
    host.allocator.status().held.flatMap(({ cidrs }) => cidrs.map(({ ip }) => String(ip)))
  );
}

Deno.test("an observer does not count for the quorum: the request waits until another elector comes", () => {
  const { cluster, hosts: [one, , three] } = clusterOf(CONSENSUS, OBSERVER, undefined);
  const id = cluster.allocate(one!, "a");
  cluster.clock.run(60_000);
  assert.equal(one!.outcomes.get(id), undefined);
  three!.init = CONSENSUS;
  three!.start();
  cluster.rewire();
  cluster.clock.run(10_000);
  assert.equal(one!.outcomes.get(id)?.kind, "address");
});

Deno.test("allocation stays idle until an observer needs an address, which has the others agree", () => {
  const init: Init = { kind: "consensus", peers: 2 };
  const { cluster, hosts } = clusterOf(init, init, OBSERVER);
  cluster.clock.run(60_000);
  for (const { allocator } of hosts) {
    const { entries, state } = allocator.status();
    assert.deepEqual([entries, state], [[], "idle"]);
  }
  const id = cluster.allocate(hosts[2]!, "a");
  cluster.clock.run(10_000);
  assert.equal(hosts[2]!.outcomes.get(id)?.kind, "address");
});

Deno.test("the owner of everything is lost: rmpeer on another host makes allocation work there, and promptly on a third", () => {
  const init: Init = { kind: "seed", peers: [peer(1)] };
  const { cluster, hosts } = clusterOf(init, init, init);
  const [one, two, three] = hosts as [Host, Host, Host];
  cluster.allocate(one, "first");
  cluster.clock.run(5_000);
  one.kill();
  one.lost = true;
  cluster.rewire();
  cluster.clock.run(2_000);
  const waits = cluster.allocate(two, "a");
  cluster.clock.run(20_000);
  assert.equal(two.outcomes.get(waits), undefined);
  assert.equal(two.allocator.status().state, "all-unreachable");
  const removal = cluster.remove(two, [one]);
  cluster.clock.run(3_000);
  assert.equal(told(two.outcomes.get(removal)), "1024 taken");
  assert.equal(two.outcomes.get(waits)?.kind, "address");
  const third = cluster.allocate(three, "b");
  cluster.clock.run(1_000);
  assert.equal(three.outcomes.get(third)?.kind, "address");
});

Deno.test("hosts are reset one after the other: the space stays usable, and nothing is given out twice", () => {
  const { cluster, hosts } = clusterOf(CONSENSUS, CONSENSUS, CONSENSUS);
  for (const host of hosts) cluster.allocate(host, `first-${host.name}`);
  cluster.clock.run(20_000);
  for (const host of hosts.slice(0, 2)) {
    host.feed({ kind: "shutdown", id: cluster.nextId() });
    cluster.clock.run(500);
    host.kill();
    host.disk.clear();
    host.start();
    cluster.rewire();
    cluster.clock.run(10_000);
  }
  const ids = hosts.map((host) => [host, cluster.allocate(host, `again-${host.name}`)] as const);
  cluster.clock.run(20_000);
  for (const [host, id] of ids) assert.equal(host.outcomes.get(id)?.kind, "address", host.name);
  const all = addresses(hosts);
  assert.equal(new Set(all).size, all.length);
  cluster.checkAgreed();
});

Deno.test("seeded hosts allocate while they are apart, and are one network when they meet", () => {
  const init: Init = { kind: "seed", peers: [peer(2), peer(1)] };
  const { cluster, hosts } = clusterOf(init, { ...init, peers: [peer(1), peer(2)] });
  cluster.split((index) => index);
  cluster.clock.run(2_000);
  for (let i = 0; i < 20; i++) cluster.allocate(hosts[i % 2]!, `c${i}`);
  cluster.clock.run(5_000);
  cluster.heal();
  cluster.clock.run(40_000);
  assert.equal(new Set(addresses(hosts)).size, 20);
  assert.deepEqual(cluster.refusals, []);
  cluster.checkAgreed();
});

Deno.test("after a loss of data a container's address is claimed from the peer that owns it", () => {
  const { cluster, hosts: [one, two] } = clusterOf(CONSENSUS, CONSENSUS);
  cluster.allocate(two!, "web");
  cluster.clock.run(20_000);
  const address = addresses([two!])[0]!;
  two!.feed({ kind: "shutdown", id: cluster.nextId() });
  cluster.clock.run(500);
  two!.kill();
  two!.disk.clear();
  two!.start();
  cluster.rewire();
  cluster.clock.run(5_000);
  assert.equal(one!.allocator.ownedRanges().length, 1, "the other one owns everything now");
  const id = cluster.claim(two!, "web", `${address}/22`);
  cluster.clock.run(5_000);
  assert.equal(told(two!.outcomes.get(id)), `${address}/22`);
});

Deno.test("a claim waits while nobody can agree, one outside of the range does not, and what waits is given up at once", () => {
  const init: Init = { kind: "consensus", peers: 2 };
  const { cluster, hosts: [one, two] } = clusterOf(init, undefined);
  const inside = cluster.claim(one!, "a", "10.32.0.7/22");
  const outside = cluster.claim(one!, "b", "192.168.9.1/24");
  cluster.clock.run(30_000);
  assert.equal(one!.outcomes.get(inside), undefined);
  assert.equal(told(one!.outcomes.get(outside)), "192.168.9.1/24");
  const release = cluster.nextId();
  one!.feed({ kind: "release", id: release, ident: "b", ip: undefined });
  assert.equal(
    one!.outcomes.get(release)?.kind,
    "released",
    "nobody waits for consensus to give something back",
  );
  two!.init = init;
  two!.start();
  cluster.rewire();
  cluster.clock.run(20_000);
  assert.equal(told(one!.outcomes.get(inside)), "10.32.0.7/22");
});

Deno.test("with nothing free a request waits, and an address that is released elsewhere serves it with the next gossip", () => {
  const init: Init = { kind: "seed", peers: [peer(1)] };
  const { cluster, hosts: [one, two] } = clusterOf(init, init);
  const subnet = "10.32.1.0/29";
  for (let i = 0; i < 6; i++) cluster.allocate(one!, `c${i}`, { subnet });
  const id = cluster.allocate(two!, "late", { subnet });
  cluster.clock.run(20_000);
  assert.equal(two!.outcomes.get(id), undefined);
  assert.equal(two!.allocator.status().state, "waiting");
  one!.feed({ kind: "release", id: cluster.nextId(), ident: "c3", ip: undefined });
  cluster.clock.run(40_000);
  assert.equal(two!.outcomes.get(id)?.kind, "address");
});
