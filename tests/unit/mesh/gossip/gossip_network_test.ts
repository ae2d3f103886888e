import assert from "node:assert/strict";
import type { Random } from "../../../../mod/core/ports.ts";
import { SEED, seededRandom, withSeed } from "../../properties.ts";
import { GossipNetwork } from "./gossip_network.ts";

/** A random connected network. */
function networkOf(size: number, more: number, random: Random): GossipNetwork {
  const network = new GossipNetwork(size, random);
  for (let i = 2; i <= size; i++) network.connect(1 + random.below(i - 1), i);
  for (let i = 0; i < more; i++) toggle(network, size, random, true);
  return network;
}

/** Connects or disconnects two random peers. */
function toggle(network: GossipNetwork, size: number, random: Random, connectOnly = false): void {
  const a = 1 + random.below(size);
  const b = 1 + random.below(size);
  if (a === b) return;
  if (!network.connected(a, b)) network.connect(a, b);
  else if (!connectOnly) network.disconnect(a, b);
}

function disturb(network: GossipNetwork, size: number, random: Random): void {
  for (let i = 0; i < 15; i++) {
    toggle(network, size, random);
    if (random.below(5) === 0) network.restart(1 + random.below(size));
    network.run(100 * random.below(20));
  }
  for (let i = 2; i <= size; i++) {
    const to = 1 + random.below(i - 1);
    if (!network.connected(to, i)) network.connect(to, i);
  }
}

for (const [size, more] of [[5, 3], [8, 6], [24, 30], [24, 110]] as const) {
  Deno.test(`gossip makes ${size} peers with ${size - 1 + more} connections agree after connections come and go and peers restart`, () => {
    withSeed(() => {
      for (let round = 0; round < 3; round++) {
        const random = seededRandom(SEED + round);
        const network = networkOf(size, more, random);
        network.run(10_000);
        network.agree();
        disturb(network, size, random);
        network.run(90_000);
        network.agree();
      }
    });
  });
}

Deno.test("gossip of a large idle mesh is a small part of complete states", () => {
  const size = 24;
  const network = new GossipNetwork(size, seededRandom());
  for (let a = 1; a <= size; a++) for (let b = 1; b < a; b++) network.connect(a, b);
  network.run(60_000);
  network.agree();
  assert.equal(network.channel(1).lean, true);
  const before = network.bytes;
  network.run(300_000);
  const perPeer = (network.bytes - before) * 8 / 300 / size;
  assert.ok(perPeer < 6_000, `${Math.round(perPeer)} bit/s for each peer`);
});
