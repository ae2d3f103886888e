/** Names of containers that are in Docker's network `mesh` alone: across hosts, unasked, and no longer than they live. */
import assert from "node:assert/strict";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import {
  engine,
  enginesWorld,
  finds,
  findsAt,
  hasNetwork,
  hostEnds,
  ipOf,
  lookUp,
  OUTSIDE,
  prepareEngines,
} from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

declareTests(
  suite({ name: "host kernel, names in Docker's network", open: enginesWorld, prepare: prepareEngines }, {
    "found by name, host name, alias and label across engines, unasked; others' names are found as before":
      async (
        world,
      ) => {
        const [here, there] = [engine(world, 1), engine(world, 2)];
        await Promise.all([here, there].map(hasNetwork));
        await here.run(
          "web",
          ...[
            "--net",
            "mesh",
            "--hostname",
            "www.shop",
            "--network-alias",
            "front",
            "--label",
            "meshnet.name=shop",
          ],
        );
        const ip = await ipOf(here, "web");
        await until("the other host knows it", async () => (await lookUp(there.host, "web")).join() === ip);
        const first = await there.attempt(
          "run",
          "--rm",
          "--net",
          "mesh",
          "box",
          "ping",
          "-c",
          "1",
          "-W",
          "10",
          "web",
        );
        assert.match(
          first.stdout,
          /1 packets received/,
          `the first thing that a container does: ${first.stdout}`,
        );
        await there.run("db", "--net", "mesh");
        for (const name of ["web", "www", "front", "shop", "web.mesh.internal"]) {
          await findsAt(there, "db", name, ip);
        }
        await findsAt(here, "web", "db", await ipOf(there, "db"));
        const outside = await there.docker("exec", "db", "nslookup", OUTSIDE.name);
        assert.match(outside, new RegExp(OUTSIDE.address.replaceAll(".", "\\.")));
        await here.docker("network", "create", "own");
        await here.docker("network", "connect", "own", "web");
        await here.run("neighbour", "--net", "own");
        assert.match(await finds(here, "web", "neighbour"), /^172\./, "Docker's own names");
        const other = await here.attempt("exec", "web", "nslookup", "-type=aaaa", "neighbour.");
        assert.doesNotMatch(
          other.stdout + other.stderr,
          /NXDOMAIN/,
          "musl finds none that has one such answer",
        );

        await here.run("other", "--net", "own", "--network-alias", "db");
        await until(
          "Docker's own names come first",
          async () => /^172\./.test(await finds(here, "web", "db")),
        );
        await there.run("asks", "--net", "mesh", "--dns", "192.0.2.53");
        await findsAt(there, "asks", "web", ip); // whatever server it has
        there.host.daemon.kill("SIGKILL");
        await there.host.daemon.ended();
        await until("without meshnet Docker is asked", async () => {
          const { stdout } = await there.attempt("exec", "db", "nslookup", OUTSIDE.name);
          return stdout.includes(OUTSIDE.address);
        });
        await there.host.up();
        await findsAt(there, "db", "web", ip); // with it they are found again

        await here.docker("exec", "-d", "web", "httpd", "-p", "80", "-h", "/bin");
        await until("its web server answers by name", async () => {
          return (await there.attempt("exec", "db", "wget", "-q", "-O", "/dev/null", "http://web/cat"))
            .code === 0;
        });

        await there.docker("rename", "db", "store");
        await until("the new name is found", async () => (await lookUp(here.host, "store")).length === 1);
        await until("the old one is not", async () => (await lookUp(here.host, "db")).length === 0);
        await here.docker("network", "disconnect", "mesh", "web");
        await until(
          "it left, and its names went",
          async () => (await lookUp(there.host, "web")).length === 0,
        );
        const outsideStill = await here.docker("exec", "web", "nslookup", OUTSIDE.name);
        assert.match(outsideStill, new RegExp(OUTSIDE.address.replaceAll(".", "\\.")));
        await there.docker("kill", "store");
        await until(
          "it died, and its names went",
          async () => (await lookUp(here.host, "store")).length === 0,
        );
        await here.docker("rm", "-f", "web", "neighbour", "other");
        await there.docker("rm", "-f", "store", "asks");
        await here.docker("network", "rm", "own");
        for (const { host } of [here, there]) {
          await until("nothing is left of it", async () => (await hostEnds(host)).length === 0);
          await until("no name is left", async () => {
            return (await host.run("dns", "list")).startsWith("No names.");
          });
          assert.deepEqual((await host.status()).problems, []);
        }
      },
  }),
);
