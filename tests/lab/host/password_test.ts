/** Passwords: what crosses is sealed, unless both ends trust the underlay; who does not know it does not get in. */
import assert from "node:assert/strict";
import { Capture } from "../common/container.ts";
import { resetAll, startWithPasswords } from "../common/everyday.ts";
import { exec, FOLDER, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { backAfter, declareTests, hostWorld } from "./host_lab.ts";

/** Content of pings by which a capture knows them: `ping -p` takes 16 bytes. */
const MARK = "meshnet in clear";
const PATTERN = [...MARK].map((letter) => letter.charCodeAt(0).toString(16)).join("");
const MARKED = ["-c", "10", "-i", "0.02", "-W", "3", "-s", "400", "-p", PATTERN];

declareTests(suite({
  name: "host kernel, password",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
}, {
  "the right one: traffic flows, and none of it is readable": async (world) => {
    await startWithPasswords(world, ["same secret", "same secret"]);
    const { connections, encryption } = await world.host(1).established();
    assert.deepEqual([encryption, connections[0]!.encrypted, connections[0]!.overlay], [
      true,
      true,
      "sleeve",
    ]);
    assert.equal(await seen(world), 0);
    const report = await world.host(1).run("report");
    assert.ok(!report.includes("same secret") && !world.host(1).daemon.output().includes("same secret"));
    await resetAll(world);
  },
  "none: traffic is readable, so the check above sees what it should": async (world) => {
    await startWithPasswords(world, [undefined, undefined]);
    assert.equal((await world.host(1).established()).connections[0]!.encrypted, false);
    assert.ok(await seen(world) > 0);
    await resetAll(world);
  },
  "started again with one: nothing more is sent in clear": async (world) => {
    const [host] = world.hosts;
    await startWithPasswords(world, [undefined, undefined]);
    assert.ok(await seen(world) > 0);
    await host!.run("down");
    await host!.daemon.ended();
    const file = `${FOLDER}/${host!.netns}/password`;
    Deno.writeTextFileSync(file, "a secret\n", { mode: 0o600 });
    await host!.up("--password-file", file);
    await using capture = await Capture.start(world.fabric, "p1", "ip", "-A");
    await world.container(1).ping(world.container(2).address, ...MARKED);
    await allCaptured(world, capture);
    assert.ok(!capture.program.output().includes(MARK));
    await resetAll(world);
  },
  "both ends trust the underlay: in clear, and status says so": async (world) => {
    await startWithPasswords(world, ["same secret", "same secret"], ["--trusted-subnets", "192.168.50.0/24"]);
    const { connections, encryption } = await world.host(2).established();
    assert.deepEqual([encryption, connections[0]!.encrypted], [true, false]);
    assert.ok(await seen(world) > 0);
    await resetAll(world);
  },
  "one end trusts the underlay: sealed": async (world) => {
    const trusting = ["--trusted-subnets", "192.168.50.0/24"];
    await startWithPasswords(world, ["same secret", "same secret"], trusting, 1);
    assert.equal((await world.host(2).established()).connections[0]!.encrypted, true);
    assert.equal(await seen(world), 0);
    await resetAll(world);
  },
  "the wrong one: no link, and both ends name the password": async (world) => {
    await startWithPasswords(world, ["one secret", "another secret"]);
    await refused(world);
    await resetAll(world);
  },
  "only one end has one: no link, and both ends name the password": async (world) => {
    await startWithPasswords(world, ["one secret", undefined]);
    await refused(world);
    await resetAll(world);
  },
}));

/** How often the underlay carries the content of pings readably. */
async function seen(world: World): Promise<number> {
  await backAfter(world.container(1), world.container(2).address, 30_000); // one end knows of the link before the other
  await using capture = await Capture.start(world.fabric, "p1", "ip", "-A");
  await world.container(1).mustPing(world.container(2).address, ...MARKED);
  await allCaptured(world, capture);
  return capture.program.output().split(MARK).length - 1;
}

/** Ends a capture once it has all so far: what the hosts say to each other by themselves then comes behind it. How many packets
 * that is nobody knows, as several datagrams may cross as one. */
async function allCaptured(world: World, capture: Capture): Promise<void> {
  const [host, other] = world.hosts;
  await exec(["ping", "-c", "1", other!.address], { netns: host!.netns });
  await until("the capture has what came after", () => /ICMP echo reply/.test(capture.program.output()));
  await capture.stop();
}

/** The dialling end shows the failed connection with the reason; the other end whom it refused, and why. */
async function refused(world: World): Promise<void> {
  await until("status names the password", async () => {
    const { connections } = await world.host(2).status();
    return connections.some(({ info }) => /password/i.test(info));
  });
  const { connections } = await world.host(2).status();
  assert.ok(connections.every(({ state }) => state !== "established"));
  await until("the other end names it, too, and who it was", async () => {
    const { refused } = await world.host(1).status();
    return refused.some(({ address, count, reason }) =>
      address === world.host(2).address && count > 0 && /password/i.test(reason)
    );
  });
  const overview = await world.host(1).run("status");
  assert.match(overview, /^Refused 192\.168\.50\.2, .* ago: .*password/m);
}
