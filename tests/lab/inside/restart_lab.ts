/** Daemons that stop, die and come back under traffic, which the kernel carries on. What the mesh makes of it is shown
 * on this machine's own kernel: ../host/restart_test.ts. */
import { hosts, mesh } from "../common/arrangements.ts";
import { pause } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { unnoticed } from "../common/unnoticed.ts";

export default suite({ name: "restart", open: () => hosts(2), prepare: mesh }, {
  "down and up under traffic loses nothing": (world) =>
    unnoticed(world, async () => {
      await world.host(1).run("down");
      await world.host(1).daemon.ended();
      await pause(500);
      await world.host(1).up("--peers", world.host(2).address);
      await world.host(1).established();
    }),
  "kill -9 and up under traffic loses nothing": (world) =>
    unnoticed(world, async () => {
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
