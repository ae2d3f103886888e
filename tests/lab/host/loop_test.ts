/** Containers that are bridged together, and one that shows ever new addresses: the others do not notice for long. */
import { mesh } from "../common/arrangements.ts";
import { macText, sendFrames } from "../common/frames.ts";
import { loopIsCut, loopOverHostsIsCut } from "../common/loops.ts";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { DATAPATHS, declareTests, hostWorld, withDatapath } from "./host_lab.ts";

/** More than a container's share of the bridge's table. */
const FLOOD = 3_000;

declareTests(...DATAPATHS.map((datapath) =>
  suite({
    name: `host kernel, loops${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", datapath] }),
    prepare: async (world) => {
      await mesh(world);
      await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
    },
  }, {
    "two containers are bridged together: one is stopped, all others go on, and it comes back": loopIsCut,
    "a container of each host are bridged together: others go on, and all come back": loopOverHostsIsCut,
    "a container that shows ever new addresses fills its own share alone": async (world) => {
      const [one, two] = [world.container(1), world.container(2)];
      const sources = Array.from({ length: FLOOD }, (_, i) => macText([2, 0xaa, 0, 0, i >> 8, i & 255]));
      const order = { device: "ethmesh", sources, destinations: ["ff:ff:ff:ff:ff:ff"], perSecond: 10_000 };
      await sendFrames(one.netns, order);
      await until("its host has forgotten them", async () => await learnt(world) <= 1_100, { ms: 5_000 });
      // Its own frames wait behind its flood, and are lost where that fills its share of the queue.
      await one.reaches(two.address, { ms: 10_000 });
      await one.mustPing(two.address, "-c", "5", "-i", "0.05", "-W", "2");
    },
  })
));

async function learnt(world: World): Promise<number> {
  const text = await exec(["bridge", "fdb", "show", "br", "meshnet", "dynamic"], {
    netns: world.host(1).netns,
  });
  return text.trim().split("\n").length;
}
