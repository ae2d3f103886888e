/** Daemons that stop, die and come back under traffic, which the kernel carries on. What the mesh makes of it is shown
 * on this machine's own kernel: ../host/restart_test.ts. */
import assert from "node:assert/strict";
import { hosts, mesh } from "../common/arrangements.ts";
import { parsePing } from "../common/container.ts";
import { note } from "../common/notes.ts";
import { pause } from "../common/process.ts";
import { Stream } from "../common/stream.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";

export default suite({ name: "restart", open: () => hosts(2), prepare: mesh }, {
  "down and up under traffic loses nothing": (world) =>
    underTraffic(world, async () => {
      await world.host(1).run("down");
      await world.host(1).daemon.ended();
      await pause(500);
      await world.host(1).up("--peers", world.host(2).address);
      await world.host(1).established();
    }),
  "kill -9 and up under traffic loses nothing": (world) =>
    underTraffic(world, async () => {
      world.host(1).daemon.kill("SIGKILL");
      await world.host(1).daemon.ended();
      await pause(500);
      await world.host(1).up("--peers", world.host(2).address);
      await world.host(1).established();
    }),
  "after a restart new containers and new flows work": async (world) => {
    const [fresh] = await world.addContainers(1);
    await world.host(1).attach(fresh!, "10.2.1.50/24");
    await fresh!.mustPing(world.container(2).address, "-c", "3", "-i", "0.1", "-W", "3");
    await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.1", "-W", "3");
  },
});

/** Does something while a TCP stream and a ping run between the containers; neither may notice. */
async function underTraffic(world: World, change: () => Promise<void>): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  await one.mustPing(two.address, "-c", "3", "-i", "0.1", "-W", "3");
  // The stream leaves some of the one processor to the daemon that starts.
  await using stream = await Stream.start(one, two, "-b", "200M");
  await using ping = one.background("ping", "-n", "-i", "0.1", two.address);
  await pause(1_000);
  await change();
  await pause(1_500);
  ping.kill("SIGINT");
  await ping.ended();
  const halves = stream.rates();
  const result = parsePing(ping.output());
  assert.ok(result.sent > 20, ping.output());
  assert.equal(result.received, result.sent, `lost pings:\n${ping.output()}`);
  const seconds = Array.from(
    { length: halves.length >> 1 },
    (_, i) => (halves[2 * i]! + halves[2 * i + 1]!) / 2,
  );
  note(`${result.sent} pings, none lost; TCP per second in Mbit/s: ${seconds.map(Math.round)}`);
  assert.ok(seconds.length >= 3 && seconds.every((rate) => rate > 1), `${seconds}`);
}
