/** Names on the peers of a world: how long a new one takes until every peer knows it. */
import assert from "node:assert/strict";
import type { Ip } from "../../mod/core/addr.ts";
import { DirectoryShell } from "../../mod/dns/records/directory_shell.ts";
import { recordOfAddress } from "../../mod/dns/records/spelling.ts";
import type { SimNode } from "./node.ts";
import type { World } from "./world.ts";

const DOMAIN = "mesh.internal.";
const WALL = 1_700_000_000;

/** Gives every peer a directory of names, the router's gossip for a channel. */
function openDirectories(world: World, heard: (node: SimNode, hostname: string) => void): DirectoryShell[] {
  const { clock } = world;
  return world.running.map((node) => {
    const core = node.core!;
    let armed = 0;
    const directory = new DirectoryShell({
      ...{ self: node.name, domain: DOMAIN, clock },
      alarm: {
        set(at, ring) {
          const mine = ++armed;
          if (at < Infinity) clock.at(at, () => mine === armed && ring());
        },
      },
      faults: { tell: (what, thrown) => assert.fail(`${what}: ${thrown}`) },
      gossip: {
        broadcast: (channel, data) => node.post({ kind: "broadcast", channel, data }),
        unicast: (channel, destination, payload) =>
          node.post({ kind: "unicast", channel, destination, payload }),
      },
      knows: (peer) => core.knows(peer),
      compares: () => true,
      knock: () => {},
      wallSeconds: () => WALL + Math.floor(clock.now() / 1_000),
    }, (before, after) => {
      if (before === undefined && after !== undefined) heard(node, after.hostname);
    });
    core.register(directory.channel);
    return directory;
  });
}

/** Lets peers give new names, one after the other; milliseconds until each other peer knew each, the shortest first. */
export function spreadNames(world: World, count: number): readonly number[] {
  const given = new Map<string, number>();
  const delays: number[] = [];
  const directories = openDirectories(world, (_, hostname) => {
    delays.push(world.clock.now() - given.get(hostname)!);
  });
  for (let i = 0; i < count; i++) {
    const hostname = `new${i}.${DOMAIN}`;
    world.clock.after(world.random.between(0, 5_000), () => {
      given.set(hostname, world.clock.now());
      const data = recordOfAddress(`10.32.0.${i + 1}` as Ip);
      world.random.pick(directories).register({ container: `c${i}`, hostname, data });
    });
  }
  world.run(10_000);
  assert.equal(delays.length, count * directories.length, "every peer knows every name");
  return delays.sort((a, b) => a - b);
}
