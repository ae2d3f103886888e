/** Daemons that stop, die and come back under traffic; nothing carries frames meanwhile, so it is about how long. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { note } from "../common/notes.ts";
import { until } from "../common/process.ts";
import { Stream } from "../common/stream.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { backAfter, BRIDGE, declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, restart",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "SIGTERM and up under traffic: back within seconds, streams live on": (world) =>
    underTraffic(world, "SIGTERM"),
  "kill -9 and up under traffic: back within seconds, streams live on": (world) =>
    underTraffic(world, "SIGKILL"),
  "a restarted daemon is the same peer and knows its attachments": async (world) => {
    const host = world.host(1);
    const before = await host.status();
    await host.run("down");
    await host.daemon.ended();
    await host.up();
    const after = await host.established();
    await backAfter(world.container(1), "10.2.1.2", 5_000);
    assert.equal(after.name, before.name);
    assert.notEqual(after.uid, before.uid);
    assert.deepEqual(
      after.attachments.map(({ target }) => target),
      before.attachments.map(({ target }) => target),
    );
    assert.ok(after.attachments.every(({ attached }) => attached));
    await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.1", "-W", "3");
  },
  "a peer that is killed is noticed at once": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    two.daemon.kill("SIGKILL");
    await two.daemon.ended();
    await until("the connection is no longer established", async () => {
      return (await one.status()).connections.every(({ state }) => state !== "established");
    }, { ms: 5_000 });
    await two.up("--peers", one.address);
    await one.established();
    note(`traffic was back after ${await backAfter(world.container(2), "10.2.1.1", 5_000)} ms`);
    await world.container(2).mustPing(world.container(1).address, "-c", "3", "-i", "0.1", "-W", "3");
  },
}));

/** Ends host 1's daemon in the middle of a TCP stream and pings, starts it again, and sees both go on. */
async function underTraffic(world: World, signal: Deno.Signal): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  await one.mustPing(two.address, "-c", "3", "-i", "0.1", "-W", "3");
  await using stream = await Stream.start(one, two, "-b", "100M");
  const host = world.host(1);
  host.daemon.kill(signal);
  await host.daemon.ended();
  const begun = performance.now();
  await host.up("--peers", world.host(2).address);
  const start = performance.now() - begun; // how long that takes, bench measures
  const ms = await backAfter(one, two.address, 5_000);
  const waited = performance.now();
  await stream.flows(20_000); // its own time-out has grown meanwhile
  const more = performance.now() - waited;
  note(
    `answering after ${start.toFixed(0)} ms, first echo ${ms} ms later, the stream ${
      more.toFixed(0)
    } ms later`,
  );
}
