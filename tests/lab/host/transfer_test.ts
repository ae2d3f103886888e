/** 300 MB from container to container, every byte compared. */
import { mesh } from "../common/arrangements.ts";
import { note } from "../common/notes.ts";
import { exec, FOLDER } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { transfer } from "../common/transfer.ts";
import type { World } from "../common/world.ts";
import { BRIDGE, declareTests, hostWorld } from "./host_lab.ts";
import { spoil } from "./underlay.ts";

const MEGABYTES = 300;

function transfers(name: string, password?: string) {
  return suite({
    name: `host kernel, ${name}`,
    open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
    prepare: async (world) => {
      const file = `${FOLDER}/${world.host(1).netns}/password`;
      if (password !== undefined) Deno.writeTextFileSync(file, password, { mode: 0o600 });
      await world.upAll(...password === undefined ? [] : ["--password-file", file]);
      await mesh6(world);
    },
  }, {
    "300 MB over IPv4 are what was sent": (world) => check(world, "10.2.1.2"),
    "300 MB over IPv6 are what was sent": (world) => check(world, "fd00:2::2"),
  });
}

/** Container n has 10.2.1.n and fd00:2::n. */
async function mesh6(world: World): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    const container = world.container(i + 1);
    await host.attach(container, `10.2.1.${i + 1}/24`);
    await exec(["ip", "addr", "add", `fd00:2::${i + 1}/64`, "dev", "ethmesh", "nodad"], {
      netns: container.netns,
    });
  }
}

async function check(world: World, address: string): Promise<void> {
  const result = await transfer(world.container(1), world.container(2), { megabytes: MEGABYTES, address });
  note(`${result.gbitPerSecond.toFixed(2)} Gbit/s`);
}

const weather = suite({
  name: "host kernel, bad weather",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
  prepare: async (world) => {
    await mesh(world);
    await spoil(world, { from: 1, to: 2, lost: 1, doubled: 2, late: 3 });
    await spoil(world, { from: 2, to: 1, lost: 1, doubled: 2, late: 3 });
  },
}, {
  "20 MB pass a network that loses, doubles and reorders": async (world) => {
    const result = await transfer(world.container(1), world.container(2), { megabytes: 20 });
    note(`${(result.gbitPerSecond * 1000).toFixed(0)} Mbit/s`);
  },
});

declareTests(transfers("in clear"), transfers("with a password", "a secret"), weather);
