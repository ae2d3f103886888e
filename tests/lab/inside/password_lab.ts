/** Passwords: nothing crosses in clear that was asked to be secret, and status says why. */
import assert from "node:assert/strict";
import { Capture } from "../common/container.ts";
import { until } from "../common/process.ts";
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
      await startBoth(world, ["same secret", "same secret"]);
      await using capture = await Capture.start(world.fabric, "p1", "udp");
      await attachBoth(world);
      const { connections } = await world.host(1).established();
      assert.deepEqual(connections.map(({ overlay, encrypted }) => [overlay, encrypted]), [["sleeve", true]]);
      await world.container(1).mustPing("10.2.1.2", "-c", "5", "-i", "0.2", "-W", "3");
      const clear = (await capture.stop()).filter((line) => /\.6784\b/.test(line));
      assert.deepEqual(clear, []);
      assert.match((await world.host(1).status()).connections[0]!.info, /IPsec/);
      assert.match(await world.host(1).run("status", "connections"), /IPsec/);
      await stopBoth(world);
    },
  "both ends trust the underlay: traffic goes": async (world) => {
    await startBoth(world, ["same secret", "same secret"], ["--trusted-subnets", "192.168.50.0/24"]);
    await attachBoth(world);
    const status = await world.host(2).established();
    assert.equal(status.encryption, true);
    assert.equal(status.connections[0]?.encrypted, false);
    await world.container(1).mustPing("10.2.1.2", "-c", "5", "-i", "0.1", "-W", "3");
    await stopBoth(world);
  },
  "the wrong one: no link, and both ends name the password": async (world) => {
    await startBoth(world, ["one secret", "another secret"]);
    await namesPassword(world);
    await stopBoth(world);
  },
  "only one end has one: no link, and both ends name the password": async (world) => {
    await startBoth(world, ["one secret", undefined]);
    await namesPassword(world);
    await stopBoth(world);
  },
});

async function startBoth(
  world: World,
  passwords: readonly (string | undefined)[],
  options: readonly string[] = [],
): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    const file = `/run/lab/${host.netns}/password`;
    const password = passwords[i];
    if (password !== undefined) Deno.writeTextFileSync(file, `${password}\n`, { mode: 0o600 });
    const secret = password === undefined ? [] : ["--password-file", file];
    await host.up(...i === 0 ? [] : ["--peers", world.host(1).address], ...secret, ...options);
  }
}

async function attachBoth(world: World): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
  }
}

async function stopBoth(world: World): Promise<void> {
  for (const host of world.hosts) {
    await host.run("reset");
    await host.daemon.ended();
  }
}

/** The dialling end shows the failed connection with the reason; the other end has at least logged it. */
async function namesPassword(world: World): Promise<void> {
  await until("status names the password", async () => {
    const { connections } = await world.host(2).status();
    return connections.some((connection) => /password/i.test(connection.info));
  });
  const { connections } = await world.host(2).status();
  assert.ok(connections.every((connection) => connection.state !== "established"));
  await until("the other end names it, too", async () => {
    const answer = await world.host(1).status();
    return /password/i.test(
      JSON.stringify([answer.connections, answer.problems]) + world.host(1).daemon.output(),
    );
  });
}
