/** Passwords beside Open vSwitch: nothing crosses in clear that was asked to be secret, and status says why. What happens
 * with a wrong one has nothing to do with datapaths: ../host/password_test.ts shows it. */
import assert from "node:assert/strict";
import { Capture } from "../common/container.ts";
import { resetAll, startWithPasswords } from "../common/everyday.ts";
import { suite } from "../common/suite.ts";
import { World } from "../common/world.ts";

export default suite({
  name: "password",
  open: () => World.create({ hosts: 2, containers: 2 }),
}, {
  "the right one, and no IPsec in the kernel: traffic goes sealed through user space, and status says why":
    async (
      world,
    ) => {
      await using capture = await Capture.start(world.fabric, "p1", "udp");
      await startWithPasswords(world, ["same secret", "same secret"]);
      await world.host(2).established();
      const { connections } = await world.host(1).established();
      assert.deepEqual(connections.map(({ overlay, encrypted }) => [overlay, encrypted]), [["sleeve", true]]);
      await world.container(1).mustPing("10.2.1.2", "-c", "5", "-i", "0.2", "-W", "3");
      const clear = (await capture.stop()).filter((line) => /\.6784\b/.test(line));
      assert.deepEqual(clear, []);
      assert.match((await world.host(1).status()).connections[0]!.info, /IPsec/);
      assert.match(await world.host(1).run("status", "connections"), /IPsec/);
      await resetAll(world);
    },
  "both ends trust the underlay: traffic goes": async (world) => {
    await startWithPasswords(world, ["same secret", "same secret"], ["--trusted-subnets", "192.168.50.0/24"]);
    await world.host(1).established();
    const status = await world.host(2).established();
    assert.equal(status.encryption, true);
    assert.equal(status.connections[0]?.encrypted, false);
    await world.container(1).mustPing("10.2.1.2", "-c", "5", "-i", "0.1", "-W", "3");
    await resetAll(world);
  },
});
