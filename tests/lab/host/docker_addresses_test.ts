/** Addresses of containers in a small network of Docker's: given back, given out lowest first, and moved. */
import assert from "node:assert/strict";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Engine } from "./engine.ts";
import { engine, enginesWorld, hasNetwork, hostEnds, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** Six addresses, all of the first host's part of the range. */
const SUBNET = "10.33.0.0/29";
const address = (n: number) => `10.33.0.${n}`;
/** Containers that live shortly: more than twice as many as there are addresses. */
const [ROUNDS, AT_ONCE] = [3, 5];

async function ipIn(one: Engine, name: string): Promise<string> {
  return await one.docker("inspect", "-f", "{{.NetworkSettings.Networks.small.IPAddress}}", name);
}

declareTests(
  suite(
    { name: "host kernel, addresses in Docker's networks", open: enginesWorld, prepare: prepareEngines },
    {
      "a small network is not used up by short-lived containers; the lowest free address is next; one that moves is reached":
        async (world) => {
          const [here, there] = [engine(world, 1), engine(world, 2)];
          await Promise.all([here, there].map(hasNetwork));
          for (const one of [here, there]) {
            const driver = ["-d", "meshnet", "--ipam-driver", "meshnet"];
            await one.docker("network", "create", ...driver, "--subnet", SUBNET, "small");
          }
          for (let round = 0; round < ROUNDS; round++) {
            await Promise.all(
              Array.from(
                { length: AT_ONCE },
                () => here.docker("run", "--rm", "--net", "small", "box", "sh", "-c", ":"),
              ),
            );
          }
          await until("all their addresses are free", async () => {
            return !(await here.host.run("ps", "--json")).includes("10.33.0.");
          });

          await here.run("first", "--net", "small");
          await here.run("fixed", "--net", "small", "--ip", address(2));
          await here.run("next", "--net", "small");
          assert.deepEqual(
            await Promise.all(["first", "fixed", "next"].map((name) => ipIn(here, name))),
            [1, 2, 3].map(address),
          );
          await there.run("far", "--net", "small", "--ip", address(6));
          await there.pings("far", address(2));
          await here.docker("rm", "-f", "fixed");
          await here.run("other", "--net", "small", "--ip", address(2));
          const asked = await there.attempt("exec", "far", "ping", "-c", "1", "-W", "10", address(2));
          assert.equal(asked.code, 0, `at once: ${asked.stdout}`);

          for (let n = 4; n <= 5; n++) await here.run(`more${n}`, "--net", "small");
          const full = await here.attempt("run", "--rm", "--net", "small", "box", "sh", "-c", ":");
          assert.notEqual(full.code, 0);
          assert.match(full.stderr, /10\.33\.0\.0\/29/, "it says which network is full");
          await here.docker("rm", "-f", "first", "other", "next", "more4", "more5");
          await there.docker("rm", "-f", "far");
          for (const one of [here, there]) {
            await one.docker("network", "rm", "small");
            await until("nothing is left of it", async () => (await hostEnds(one.host)).length === 0);
            assert.deepEqual((await one.host.status()).problems, []);
          }
        },
      "a restart with another --mtu changes the MTU of containers that run, at both ends": async (world) => {
        const { host } = engine(world, 1);
        const here = engine(world, 1);
        await hasNetwork(here);
        await here.run("old", "--net", "mesh");
        const mtus = async () => {
          const inside = await here.docker("exec", "old", "ip", "link", "show", "dev", "ethmesh0");
          const [outer] = await hostEnds(host);
          const outside = await exec(["ip", "link", "show", "dev", outer!], { netns: host.netns });
          return [inside, outside].map((text) => Number(/ mtu (\d+) /.exec(text)![1]));
        };
        const [before] = await mtus();
        for (const mtu of ["1238", String(before)]) {
          await host.run("down");
          await host.daemon.ended();
          await host.up("--peers", engine(world, 2).host.address, "--mtu", mtu);
          await until(`both ends have MTU ${mtu}`, async () => `${await mtus()}` === `${mtu},${mtu}`);
        }
        await here.docker("rm", "-f", "old");
        await until("nothing is left of it", async () => (await hostEnds(host)).length === 0);
      },
      "a container of Docker's that takes the address of another one on another host is named on both":
        async (
          world,
        ) => {
          const [here, there] = [engine(world, 1), engine(world, 2)];
          await Promise.all([here, there].map(hasNetwork));
          await here.run("web", "--net", "mesh");
          await there.run("thief", "--net", "mesh");
          const ip = await here.docker(
            "inspect",
            "-f",
            "{{.NetworkSettings.Networks.mesh.IPAddress}}",
            "web",
          );
          const pid = await there.docker("inspect", "-f", "{{.State.Pid}}", "thief");
          await exec(["nsenter", "-n", "-t", pid, "ip", "addr", "add", `${ip}/32`, "dev", "ethmesh0"]);
          const words = new RegExp(
            `^${ip} is in use twice: by web .* on ${here.host.netns}, and by thief .* on ${there.host.netns}, which was`,
          );
          for (const { host } of [here, there]) {
            await until(`${host.netns} tells of it`, async () => {
              return (await host.status()).problems.some(({ message }) => words.test(message));
            });
          }
          await here.docker("rm", "-f", "web");
          await there.docker("rm", "-f", "thief");
        },
    },
  ),
);
