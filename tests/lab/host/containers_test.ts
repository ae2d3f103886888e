/** Containers of real engines, one on each host: attached by name and by label, and again whenever they are started. */
import assert from "node:assert/strict";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import type { Engine } from "./engine.ts";
import { addressOf, engine, enginesWorld, holders, hostEnds, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

async function macOf(one: Engine, name: string): Promise<string> {
  return await one.docker("exec", name, "cat", "/sys/class/net/ethmesh/address");
}

declareTests(
  suite({ name: "host kernel, containers of an engine", open: enginesWorld, prepare: prepareEngines }, {
    "attached by name and by label, across hosts, through restarts, until they are removed": async (
      world,
    ) => {
      const [here, there] = [engine(world, 1), engine(world, 2)];
      await here.run("web", "--dns", NAME_SERVER_IP, "--dns-search", "mesh.internal");
      await there.run("db", "--label", "meshnet.ip=10.2.1.2/24", "--label", "meshnet.name=store");
      assert.match(
        await here.host.run("attach", "10.2.1.1/24", "web"),
        /^container:web: ethmesh has 10\.2\.1\.1\/24\n/,
      );
      assert.equal(await addressOf(there.host, "db"), "10.2.1.2");
      await here.pings("web", "10.2.1.2");
      const names = (host: Host) => host.run("dns", "lookup", "store").catch(() => "");
      await until("its name is known", async () => await names(here.host) === "10.2.1.2\n");
      const mac = await macOf(here, "web");
      await until("it is found by that name inside", async () => {
        const { stdout } = await here.attempt("exec", "web", "nslookup", "store.mesh.internal");
        return stdout.includes("10.2.1.2");
      });

      await here.docker("restart", "-t", "0", "web");
      await here.pings("web", "10.2.1.2");
      assert.equal(await macOf(here, "web"), mac);
      await there.docker("rename", "db", "store");
      await until(
        "the new name is known",
        async () => (await holders(there.host)).some(({ name }) => name === "store"),
      );
      await there.docker("kill", "store");
      await until("it waits", async () => (await holders(there.host)).every(({ attached }) => !attached));
      await until("its name has gone", async () => await names(here.host) === "");
      assert.deepEqual((await there.host.status()).problems, []);
      await there.docker("start", "store");
      await here.pings("web", "10.2.1.2");

      const strange = await here.host.attempt("attach", "nobody");
      assert.equal(strange.code, 1);
      assert.match(strange.stderr, /Cannot attach nobody: the engine has no such container/);
      await here.docker("rm", "-f", "web");
      await there.docker("rm", "-f", "store");
      for (const { host } of [here, there]) {
        await until("nothing is left of it", async () => {
          return (await hostEnds(host)).length === 0 && (await host.status()).attachments.length === 0;
        });
      }
    },
    "what happened while meshnet or the engine was away is made up for": async (world) => {
      const one = engine(world, 1);
      const { host } = one;
      await one.run("stays", "--restart", "always", "--label", "meshnet.attach=true");
      const address = await addressOf(host, "stays");
      await one.run("goes", "--label", "meshnet.attach=true");
      await addressOf(host, "goes");

      await host.run("down");
      await one.docker("restart", "-t", "0", "stays");
      await one.docker("rm", "-f", "goes");
      await one.run("comes", "--label", "meshnet.attach=true");
      await host.up();
      assert.equal(await addressOf(host, "stays"), address);
      await addressOf(host, "comes");
      await until(
        "what was removed is forgotten",
        async () => (await host.status()).attachments.length === 2,
      );
      await one.pings("comes", address);

      await one.kill();
      await until("the engine is missed", async () => (await host.status()).engine?.version === null);
      assert.equal(await addressOf(host, "stays"), address); // nobody can be asked, so it stays
      one.start();
      await one.answers();
      await until("the engine is found", async () => (await host.status()).engine?.version !== null);
      assert.equal(await addressOf(host, "stays"), address);
      await one.docker("start", "comes"); // Docker ends what its killed daemon left, and starts what is always to run
      await one.pings("comes", address);
      await one.docker("rm", "-f", "stays", "comes");
    },
    "Docker's network mesh reaches over all hosts, through restarts in any order, and leaves nothing": async (
      world,
    ) => {
      const [here, there] = [engine(world, 1), engine(world, 2)];
      for (const one of [here, there]) {
        await until("Docker has the network", async () => {
          return (await one.attempt("network", "inspect", "mesh")).code === 0;
        });
      }
      await here.run("web", "--net", "mesh");
      await there.run("db", "--net", "mesh", "--ip", "10.32.7.7");
      await here.pings("web", "10.32.7.7");
      await there.run("plain");
      await there.docker("network", "connect", "mesh", "plain");
      await there.pings("plain", "10.32.7.7");
      const ip = await here.docker("inspect", "-f", "{{.NetworkSettings.Networks.mesh.IPAddress}}", "web");
      await there.pings("plain", ip);
      await there.docker("network", "disconnect", "mesh", "plain");
      const strange = await here.attempt("network", "create", "-d", "meshnet", "strange");
      assert.match(strange.stderr, /gives out on each host by itself: add --ipam-driver meshnet/);
      const outside = [
        ..."network create -d meshnet --ipam-driver meshnet --subnet".split(" "),
        "10.9.0.0/16",
        "x",
      ];
      assert.match((await here.attempt(...outside)).stderr, /no part of meshnet's range 10\.32\.0\.0\/12/);

      here.host.daemon.kill("SIGKILL");
      await here.host.daemon.ended();
      await here.host.up();
      await here.pings("web", "10.32.7.7");
      await here.docker("restart", "-t", "0", "web");
      await here.pings("web", "10.32.7.7");
      await there.kill();
      there.start();
      await there.answers();
      await there.docker("start", "db"); // Docker ends what its killed daemon left
      await here.pings("web", "10.32.7.7");

      await here.docker("rm", "-f", "web");
      await there.docker("rm", "-f", "db", "plain");
      for (const { host } of [here, there]) {
        await until("nothing is left of it", async () => {
          return (await hostEnds(host)).length === 0 && (await holders(host)).length === 0;
        });
        assert.deepEqual((await host.status()).problems, []);
      }
    },
  }),
);
