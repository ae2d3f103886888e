/** Containers of Docker's network `mesh` while meshnet loses what it knew, or their interfaces go. */
import assert from "node:assert/strict";
import { note } from "../common/notes.ts";
import { exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Engine } from "./engine.ts";
import {
  engine,
  enginesWorld,
  hasNetwork,
  holders,
  hostEnds,
  ipOf,
  lookUp,
  prepareEngines,
} from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** What a deleted interface may take to be back: a second on an idle machine. By itself it would be looked for once a minute. */
const MENDED_MS = 15_000;

/** How long Docker looks for its plugin when a container is removed. */
const PLUGIN_AWAY_MS = 45_000;
/** What Docker has left is looked for a minute after meshnet found it again. */
const LEFT_MS = 60_000 + 60_000;

/** What a container's own interface is like. The broadcast address says nothing that the prefix does not: the kernel adds
 * its route either way. */
async function insideOf(one: Engine, name: string): Promise<string> {
  const shown = await one.docker("exec", name, "ip", "addr", "show", "dev", "ethmesh0");
  const routes = await one.docker("exec", name, "ip", "route");
  const kept = shown.split("\n").filter((line) => /link\/ether|inet/.test(line));
  return [...kept, ...routes.split("\n").filter((line) => line.includes("ethmesh0")).sort()]
    .map((line) => line.trim().replace(/ brd \S+/, "").replace(/ +/g, " ")).join("\n");
}

/** Waits until a container's own interface is like that again. */
async function isAsItWas(one: Engine, name: string, inside: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (await insideOf(one, name) !== inside && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(await insideOf(one, name), inside);
}

/** Addresses of whoever has one here, without prefixes; sorted. */
async function held(one: Engine): Promise<readonly string[]> {
  return (await holders(one.host)).flatMap(({ addresses }) => addresses.map((text) => text.split("/")[0]!))
    .sort();
}

declareTests(
  suite(
    { name: "host kernel, Docker's network after a reset", open: enginesWorld, prepare: prepareEngines },
    {
      "after a reset, containers that run are connected again with their addresses, and nobody else gets these":
        async (world) => {
          const [here, there] = [engine(world, 1), engine(world, 2)];
          await Promise.all([here, there].map(hasNetwork));
          await there.run("far", "--net", "mesh");
          const far = await ipOf(there, "far");
          for (const name of ["one", "two"]) await here.run(name, "--net", "mesh");
          for (const name of ["one", "two"]) {
            await until(`${name} is known`, async () => (await lookUp(here.host, name)).length === 1);
          }
          assert.match(await here.host.run("status"), /Attachments {2}2 containers of the engine's networks/);
          const all = async () => await Promise.all(["one", "two"].map((name) => ipOf(here, name)));
          const before = await all();
          const inside = await insideOf(here, "one");
          for (const how of [[], ["--keep-state"]]) {
            const dry = await here.host.run("reset", "--dry-run", ...how);
            assert.match(
              dry,
              new RegExp(`cut one, which has ${before[0]}/12, off until the next .meshnet up.\\n`),
            );
            await here.host.run("reset", "--yes", ...how);
            await here.host.up();
            await here.host.established(); // by itself it would share the range out anew, for the new one
            await here.run("next", "--net", "mesh");
            assert(!before.includes(await ipOf(here, "next")), `${how}: a new one takes nobody's address`);
            await here.pings("one", far);
            await here.pings("two", far);
            await there.pings("far", before[0]!);
            await isAsItWas(here, "one", inside);
            assert.deepEqual(await all(), before);
            await until(
              "they have names",
              async () => (await lookUp(there.host, "two")).join() === before[1],
            );
            assert.deepEqual((await here.host.status()).problems, []);
            await here.docker("rm", "-f", "next");
            await until(
              "all of it is held",
              async () => (await held(here)).join() === before.toSorted().join(),
            );
          }
          await here.docker("restart", "-t", "0", "one", "two");
          assert.deepEqual(await all(), before);
          await here.docker("rm", "-f", "one", "two");
          await there.docker("rm", "-f", "far");
          await until("nobody holds anything", async () => (await holders(here.host)).length === 0);
          await until("nothing is left", async () => (await hostEnds(here.host)).length === 0);
        },
      "an interface that somebody deletes is there again within seconds, as it was": async (world) => {
        const [here, there] = [engine(world, 1), engine(world, 2)];
        await Promise.all([here, there].map(hasNetwork));
        await there.run("far", "--net", "mesh");
        await here.run("web", "--net", "mesh");
        const [far, web] = [await ipOf(there, "far"), await ipOf(here, "web")];
        await here.pings("web", far);
        await until("it is found", async () => (await lookUp(there.host, "web")).join() === web);
        const inside = await insideOf(here, "web");
        const started = performance.now();
        await ip((await hostEnds(here.host)).map((name) => `link del ${name}`), here.host.netns);
        await here.pings("web", far);
        const ms = Math.round(performance.now() - started);
        note(`an interface of Docker's was back after ${ms} ms`);
        assert.ok(ms <= MENDED_MS, `${ms} ms`);
        await isAsItWas(here, "web", inside);
        await until("it is found again", async () => (await lookUp(there.host, "web")).join() === web);
        assert.deepEqual((await here.host.status()).problems, []);
        await here.docker("rm", "-f", "web");
        await there.docker("rm", "-f", "far");
        await until("nothing is left", async () => (await hostEnds(here.host)).length === 0);
      },
      "the address of a container that is removed while meshnet is away is free again": async (world) => {
        const one = engine(world, 1);
        await hasNetwork(one);
        await one.run("gone", "--net", "mesh");
        const address = await ipOf(one, "gone");
        await until("it is held", async () => (await held(one)).join() === address);
        await one.host.run("down");
        // Docker calls its plugin three times, for 15 seconds each.
        await exec([...one.client(), "rm", "-f", "gone"], { timeoutMs: 2 * PLUGIN_AWAY_MS });
        note(await one.docker("network", "inspect", "-f", "{{json .Containers}}", "mesh"));
        await one.host.up();
        await until("nobody holds it", async () => (await holders(one.host)).length === 0);
        await until("nothing is left", async () => (await hostEnds(one.host)).length === 0, { ms: LEFT_MS });
        await one.run("next", "--net", "mesh", "--ip", address);
        await one.docker("rm", "-f", "next");
      },
    },
  ),
);
