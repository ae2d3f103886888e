/** Containers of Docker's network `mesh` through restarts of themselves, of Docker and of meshnet, in any order. */
import assert from "node:assert/strict";
import { note } from "../common/notes.ts";
import { attempt, exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Engine } from "./engine.ts";
import {
  addressOf,
  engine,
  enginesWorld,
  finds,
  findsAt,
  hasNetwork,
  holders,
  hostEnds,
  ipOf,
  lookUp,
  OUTSIDE,
  prepareEngines,
} from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** Docker serves others although its plugin is away: the time until it answers, on a machine that does much else. */
const BOOT_MS = 90_000;

/** Does for an engine what meshnet's systemd unit does before it starts meshnet. */
async function preparesAsUnit({ host, inside }: Engine): Promise<void> {
  const script = /^ExecStartPre=-\+\/bin\/sh -c "(.*)"$/m.exec(await host.run("service", "unit"))![1]!;
  await exec([...inside, "sh", "-c", script.replaceAll('\\"', '"')]);
}

declareTests(
  suite({ name: "host kernel, life in Docker's network", open: enginesWorld, prepare: prepareEngines }, {
    "a stopped container keeps its address until it is removed, in whatever order others start": async (
      world,
    ) => {
      const one = engine(world, 1);
      await hasNetwork(one);
      for (const name of ["one", "two", "three"]) await one.run(name, "--net", "mesh");
      const all = async () => await Promise.all(["one", "two", "three"].map((name) => ipOf(one, name)));
      const before = await all();
      await until("all have names", async () => (await lookUp(one.host, "three")).length === 1);
      await one.docker("stop", "-t", "0", "one", "two", "three");
      await until("they wait", async () => (await holders(one.host)).every(({ attached }) => !attached));
      assert.deepEqual((await holders(one.host)).map(({ name }) => name).sort(), ["one", "three", "two"]);
      await until("their names have gone", async () => (await lookUp(one.host, "one")).length === 0);
      await one.run("new", "--net", "mesh");
      assert(!before.includes(await ipOf(one, "new")), "a new one takes nobody's address");
      for (const name of ["three", "one", "two"]) await one.docker("start", name);
      assert.deepEqual(await all(), before);
      await one.docker("restart", "-t", "0", "two");
      assert.deepEqual(await all(), before);
      await one.docker("stop", "-t", "0", "three");
      await one.run("taker", "--net", "mesh", "--ip", before[2]!);
      assert.equal(await ipOf(one, "taker"), before[2], "who asks for it gets it");
      await one.docker("start", "three");
      assert.notEqual(await ipOf(one, "three"), before[2]);
      await one.docker("rm", "-f", "one", "two", "three", "new", "taker");
      await until("nobody holds anything", async () => (await holders(one.host)).length === 0);
    },
    "meshnet and Docker are killed and started in any order: addresses and names stay, other names are found":
      async (
        world,
      ) => {
        const [here, there] = [engine(world, 1), engine(world, 2)];
        await Promise.all([here, there].map(hasNetwork));
        await here.run("web", "--net", "mesh", "--restart", "always");
        await there.run("db", "--net", "mesh");
        const ip = await ipOf(here, "web");
        await findsAt(there, "db", "web", ip);

        here.host.daemon.kill("SIGKILL");
        await here.host.daemon.ended();
        await until("names of others are found without meshnet", async () => {
          const { stdout } = await here.attempt("exec", "web", "nslookup", OUTSIDE.name);
          return stdout.includes(OUTSIDE.address);
        });
        await here.kill();
        await here.host.up(); // Docker is away: what it runs is known
        await findsAt(there, "db", "web", ip); // while Docker is away
        here.start();
        await here.answers();
        await until("Docker has started it again", async () => await ipOf(here, "web") === ip);
        await findsAt(there, "db", "web", ip);
        await findsAt(here, "web", "db", await ipOf(there, "db"));

        await here.docker("rm", "-f", "web");
        await there.docker("rm", "-f", "db");
        for (const { host } of [here, there]) {
          await until("nothing is left of it", async () => {
            const left = [...await hostEnds(host), ...await holders(host)];
            if (left.length > 0) throw new Error(`${host.netns} has ${JSON.stringify(left)}`);
            return true;
          });
        }
      },
    "Docker starts without meshnet, refuses what needs it, and goes on when it is there": async (world) => {
      const here = engine(world, 1);
      await hasNetwork(here);
      await here.run("web", "--net", "mesh", "--restart", "always");
      const ip = await ipOf(here, "web");
      await until("it is known", async () => (await lookUp(here.host, "web")).length === 1);
      await here.kill();
      here.host.daemon.kill("SIGKILL");
      await here.host.daemon.ended();
      const began = performance.now();
      here.start();
      await here.answers();
      const ms = Math.round(performance.now() - began);
      note(`Docker answers ${ms} ms after its start, without its plugin`);
      assert(ms < BOOT_MS, `${ms} ms`);
      const asked = performance.now();
      const refused = await here.attempt("run", "--rm", "--net", "mesh", "box", "cat", "/bin/cat");
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /meshnet/, "it says which plugin is missing");
      note(`a container is refused after ${Math.round(performance.now() - asked)} ms`);
      await here.host.up();
      await here.docker("start", "web");
      assert.equal(await ipOf(here, "web"), ip);
      await until("it is found", async () => (await lookUp(here.host, "web")).join() === ip);

      await preparesAsUnit(here);
      const tries = () => here.said().split("Unable to locate plugin").length;
      const before = tries();
      await here.kill();
      here.host.daemon.kill("SIGTERM");
      await here.host.daemon.ended();
      const again = performance.now();
      here.start();
      await here.answers();
      note(`after the unit has run, Docker answers after ${Math.round(performance.now() - again)} ms`);
      const { stderr } = await here.attempt("run", "--rm", "--net", "mesh", "box", "cat", "/bin/cat");
      assert.match(stderr, /meshnet does not run on this host/);
      assert.equal(tries(), before, "Docker does not wait for its plugin");
      await here.host.up();
      await here.docker("start", "web");
      assert.equal(await ipOf(here, "web"), ip);
      await here.docker("rm", "-f", "web");
      await until("nothing is left of it", async () => {
        return (await hostEnds(here.host)).length === 0 && (await holders(here.host)).length === 0;
      });
    },
    "what does not answer by Docker's check, ours, or because it is paused, leaves the answers of all hosts":
      async (
        world,
      ) => {
        const [here, there] = [engine(world, 1), engine(world, 2)];
        await Promise.all([here, there].map(hasNetwork));
        const check = ["--health-cmd", "cat /ok", "--health-interval", "500ms", "--health-retries", "1"];
        await here.run("one", "--net", "mesh", "--network-alias", "web", ...check);
        await there.run("two", "--net", "mesh", "--network-alias", "web");
        const [first, second] = [await ipOf(here, "one"), await ipOf(there, "two")];
        const answers = async () => (await lookUp(here.host, "web")).join();
        const both = [first, second].sort().join();
        await until("one that starts is left out", async () => await answers() === second);
        await here.docker("exec", "one", "sh", "-c", "cat /dev/null >/ok");
        await until("it is healthy", async () => await answers() === both);
        await there.docker("pause", "two");
        const paused = performance.now();
        await until("it is paused", async () => await answers() === first);
        note(`paused: left out after ${Math.round(performance.now() - paused)} ms`);
        const list = async ({ host }: typeof here, word: string) =>
          (await host.run(...word.split(" "))).split("\n").filter((line) => line.includes(second))
            .join();
        assert.match(await list(there, "ps"), /paused/);
        assert.match(await list(there, "dns list"), /left out: paused/);
        assert.match(await list(here, "dns list"), /left out: does not answer/);
        await there.docker("unpause", "two");
        await until("it goes on", async () => await answers() === both);
        await there.run(
          "three",
          "--net",
          "mesh",
          "--network-alias",
          "web",
          "--label",
          "meshnet.health=tcp:80",
        );
        const third = await ipOf(there, "three");
        await until("nobody listens there", async () => {
          const { stdout } = await there.host.attempt("dns", "list");
          return stdout.includes(third);
        });
        await until("it is left out", async () => await answers() === both);
        await there.docker("exec", "-d", "three", "httpd", "-p", "80");
        await until("it listens", async () => await answers() === [first, second, third].sort().join());
        await here.run("five", "--label", "meshnet.name=web", ...check); // attached, on Docker's own network
        const fifth = await addressOf(here.host, "five");
        await until("one that starts is left out", async () => {
          return await answers() === [first, second, third].sort().join();
        });
        await here.docker("exec", "five", "sh", "-c", "cat /dev/null >/ok");
        await until(
          "it is healthy",
          async () => await answers() === [first, second, third, fifth].sort().join(),
        );
        await there.run("four", "--net", "mesh", "--label", "meshnet.health=exec:/bin/true");
        await until("an image runs no program of the host", async () => {
          return (await there.host.status()).problems.some(({ message }) =>
            message.startsWith("four is not checked")
          );
        });
        await here.docker("rm", "-f", "one", "five");
        await there.docker("rm", "-f", "two", "three", "four");
        await until("no problem is left", async () => (await there.host.status()).problems.length === 0);
      },
    "the way out, published ports, two networks, odd names, and a plugin socket that somebody deletes":
      async (
        world,
      ) => {
        const [here, there] = [engine(world, 1), engine(world, 2)];
        await Promise.all([here, there].map(hasNetwork));
        await here.run("web", "--net", "mesh", "-p", "8080:80");
        await here.docker("exec", "-d", "web", "httpd", "-p", "80", "-h", "/bin");
        await here.pings("web", "192.168.50.253"); // beyond the host
        await until("its port is published", async () => {
          const url = `http://${here.host.address}:8080/cat`;
          const argv = ["busybox", "wget", "-q", "-O", "/dev/null", url];
          return (await attempt(argv, { netns: there.host.netns })).code === 0;
        });

        for (const [name, subnet] of [["shop", "10.33.0.0/16"], ["stock", "10.34.0.0/16"]] as const) {
          const options = `-d meshnet --ipam-driver meshnet --subnet ${subnet}`.split(" ");
          for (const one of [here, there]) await one.docker("network", "create", ...options, name);
        }
        await here.run("both", "--net", "shop");
        await here.docker("network", "connect", "stock", "both");
        await until("it has both addresses", async () => (await lookUp(there.host, "both")).length === 2);
        await here.docker("restart", "-t", "0", "both");
        await until(
          "it has both addresses again",
          async () => (await lookUp(there.host, "both")).length === 2,
        );
        await here.docker("network", "disconnect", "shop", "both");
        await until("one is left", async () => (await lookUp(there.host, "both")).length === 1);
        await there.run("db", "--net", "stock");
        await until("it finds names through the network that is left", async () => {
          return await finds(here, "both", "db") !== "";
        });

        await here.run("ending-", "--net", "mesh", "--network-alias", "good");
        await until("its name is told", async () => {
          const { problems } = await here.host.status();
          return problems.some(({ message }) =>
            message.startsWith("ending- is not found by one of its names")
          );
        });
        assert.equal((await lookUp(here.host, "good")).length, 1);

        await attempt([...here.inside, "rm", "/run/docker/plugins/meshnet.sock"]);
        await until("the socket is there again", async () => {
          return (await attempt([...here.inside, "ls", "/run/docker/plugins/meshnet.sock"])).code === 0;
        });
        await here.run("late", "--net", "mesh", "--restart", "on-failure");
        const late = await ipOf(here, "late");
        const pid = await here.docker("inspect", "-f", "{{.State.Pid}}", "late");
        Deno.kill(Number(pid), "SIGKILL"); // as the kernel does when memory is short
        await until("it was started again", async () => {
          return await here.docker("inspect", "-f", "{{.State.Running}} {{.RestartCount}}", "late") ===
            "true 1";
        });
        assert.equal(await ipOf(here, "late"), late);
        await until("it is found", async () => (await lookUp(there.host, "late")).join() === late);

        await here.docker("rm", "-f", "web", "both", "ending-", "late");
        await there.docker("rm", "-f", "db");
        for (const one of [here, there]) await one.docker("network", "rm", "shop", "stock");
        for (const { host } of [here, there]) {
          await until("nothing is left of it", async () => {
            const left = [...await hostEnds(host), ...await holders(host)];
            if (left.length > 0) throw new Error(`${host.netns} has ${JSON.stringify(left)}`);
            return true;
          });
          assert.deepEqual((await host.status()).problems, []);
        }
      },
    "an internal network: found by name across hosts, without a way out and without an interface of Docker's":
      async (world) => {
        const [here, there] = [engine(world, 1), engine(world, 2)];
        await Promise.all([here, there].map(hasNetwork));
        const options = "-d meshnet --ipam-driver meshnet --internal --subnet 10.33.0.0/16".split(" ");
        for (const one of [here, there]) await one.docker("network", "create", ...options, "inside");
        await here.run("web", "--net", "inside");
        await there.run("db", "--net", "inside");
        const found = await until("one finds the other by name", () => finds(there, "db", "web"));
        await there.pings("db", found);
        const routes = await there.docker("exec", "db", "ip", "route");
        assert.doesNotMatch(routes, /default/);
        const links = await there.docker("exec", "db", "ip", "-o", "link");
        assert.deepEqual([...links.matchAll(/^\d+: (\w+)/gm)].map(([, name]) => name), ["lo", "ethmesh0"]);
        await here.docker("rm", "-f", "web");
        await there.docker("rm", "-f", "db");
        for (const one of [here, there]) await one.docker("network", "rm", "inside");
      },
    "reset removes Docker's network, and names one that a container is in": async (world) => {
      const [here, there] = [engine(world, 1), engine(world, 2)];
      await Promise.all([here, there].map(hasNetwork));
      await there.run("db", "--net", "mesh");
      assert.match(await here.host.run("reset"), /Removed network mesh of the container engine\./);
      assert.notEqual((await here.attempt("network", "inspect", "mesh")).code, 0);
      const said = await there.host.run("reset");
      assert.match(
        said,
        /Network mesh of the container engine stays: .*active endpoints.*docker network rm mesh/,
      );
      assert.equal((await there.attempt("network", "inspect", "mesh")).code, 0);
      await there.host.up();
      await there.docker("rm", "-f", "db");
      await there.docker("network", "rm", "mesh");
    },
  }),
);
