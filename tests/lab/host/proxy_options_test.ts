/** What clients of a real engine get through meshnet where its options say more than usual. */
import assert from "node:assert/strict";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import {
  engine,
  enginesWorld,
  finds,
  hasNetwork,
  holders,
  ipOf,
  lookUp,
  prepareEngines,
} from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** Of the first host; the second one gives containers no route for multicast. */
const OPTIONS = [
  ...["--docker-proxy-attach", "asked", "--docker-proxy-inspect", "--docker-proxy-host-label", "app"],
  ...["--docker-proxy-host-match", "^shop-(.*)$", "--docker-proxy-host-replace", "$1"],
];
/** Asks for a place on the mesh: the usual one. */
const ASKS = ["-e", "MESHNET_CIDR="];

async function prepare(world: World): Promise<void> {
  const [first, second] = world.hosts;
  first!.upOptions = [...first!.upOptions, ...OPTIONS];
  second!.upOptions = [...second!.upOptions, "--no-multicast-route"];
  await prepareEngines(world);
  await Promise.all([1, 2].map((n) => hasNetwork(engine(world, n))));
}

/** Runs Docker's client through the proxy of a host. */
async function through(world: World, n: number, ...args: readonly string[]): Promise<string> {
  const one = engine(world, n);
  return (await exec([...one.client(`${one.host.runDir}/docker.sock`), ...args])).trim();
}

declareTests(
  suite({ name: "host kernel, proxy with options", open: enginesWorld, prepare }, {
    "who asks is on the mesh: inspect shows its address there, its files and names know it": async (
      world,
    ) => {
      const here = engine(world, 1);
      const docker = (...args: readonly string[]) => through(world, 1, ...args);
      assert.doesNotMatch(await docker("run", "--rm", "box", "ip", "-o", "addr"), /ethmesh/);
      const added = ["--add-host", "far:192.0.2.9"];
      await docker("run", "-d", "--name", "shop-web", ...ASKS, ...added, "box", "sleep", "600");
      const ip = await ipOf(here, "shop-web");
      const wanted = "{{.IPAddress}}/{{.IPPrefixLen}} {{.MacAddress}}";
      const shown = await docker("inspect", "-f", `{{with .NetworkSettings}}${wanted}{{end}}`, "shop-web");
      const inside = await here.docker("exec", "shop-web", "ip", "addr", "show", "ethmesh0");
      const [, mac, cidr] = /link\/ether (\S+) [^]*inet (\S+)/.exec(inside)!;
      assert.equal(shown, `${cidr} ${mac}`);
      assert.equal(cidr, `${ip}/12`);
      const holder = await until("ps shows it", async () => {
        return (await holders(here.host)).find(({ name }) => name === "shop-web");
      });
      assert.deepEqual(holder.addresses, [cidr]);

      assert.equal(await docker("exec", "shop-web", "busybox", "hostname"), "web", "its name, rewritten");
      const label = ["run", "--rm", "--label", "app=shop-front", ...ASKS, "box", "busybox", "hostname"];
      assert.equal(await docker(...label), "front", "its label, rewritten");
      const hosts = await docker("exec", "-u", "1000", "shop-web", "cat", "/etc/hosts");
      assert.match(hosts, new RegExp(`^(::ffff:)?${ip}\\s.*\\bweb\\b`, "m"));
      assert.match(hosts, /^192\.0\.2\.9\s+far$/m);
      await docker("run", "-d", "--name", "db", ...ASKS, "box", "sleep", "600");
      for (const name of ["web", "shop-web", "WEB.mesh.internal"]) {
        await until(`${name} is found`, async () => await finds(here, "db", name) === ip);
      }

      // What an image or a client says about the first process stays.
      const entry = ["--entrypoint", "busybox", "box"];
      assert.equal(await docker("run", "--rm", ...ASKS, ...entry, "echo", "one"), "one");
      await docker("commit", "-c", 'ENTRYPOINT ["busybox", "echo", "two"]', "db", "talks");
      assert.equal(await docker("run", "--rm", ...ASKS, "talks", "three"), "two three");
      await docker("rm", "-f", "shop-web", "db");
    },
    "multicast goes into the mesh, unless its route is not wanted": async (world) => {
      for (
        const [n, expected] of [[1, /^224\.0\.0\.0\/4 dev ethmesh/m], [2, /^(?![^]*224\.0\.0\.0)/]] as const
      ) {
        const one = engine(world, n);
        const routes = await one.docker("run", "--rm", "--net", "mesh", "box", "ip", "route");
        assert.match(routes, /^10\.32\.0\.0\/12 dev ethmesh/m);
        assert.match(routes, expected, `in Docker's network of host ${n}: ${routes}`);
        await one.run("runs", "--net", "mesh");
        await until("it is known", async () => (await lookUp(one.host, "runs")).length > 0);
        assert.match(await one.docker("exec", "runs", "ip", "route"), expected, "while it runs");
        await one.docker("rm", "-f", "runs");
        await one.run("apart");
        await one.host.run("attach", "apart");
        assert.match(await one.docker("exec", "apart", "ip", "route"), expected, "attached");
        await one.docker("rm", "-f", "apart");
      }
    },
  }),
);
