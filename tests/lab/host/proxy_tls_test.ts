/** Clients of a real engine that reach it over TCP, through meshnet. */
import assert from "node:assert/strict";
import { attempt, type Output, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { engine, enginesWorld, hasNetwork, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

const PORT = 2376;
/** Certificates of a CA that exists for tests alone, and one of nobody's. */
const pem = (name: string) => new URL(`../../unit/docker/proxy/tls/${name}`, import.meta.url).pathname;

async function prepare(world: World): Promise<void> {
  const files = ["ca.pem", "server.pem", "server.key"].map(pem).join();
  for (const host of world.hosts) {
    const listen = ["--docker-proxy", `auto,tcp://127.0.0.1:${PORT}`, "--docker-proxy-tls", files];
    host.upOptions = [...host.upOptions, ...listen];
  }
  await prepareEngines(world);
  await hasNetwork(engine(world, 1));
}

/** Runs Docker's client on the first host, over TCP; `who` is whose certificate it shows. */
function docker(world: World, args: readonly string[], { input, who = "client" }: {
  readonly input?: string;
  readonly who?: "client" | "other" | undefined;
} = {}): Promise<Output> {
  const own = ["--tlscert", pem(`${who}.pem`), "--tlskey", pem(`${who}.key`)];
  const how = ["--tlsverify", "--tlscacert", pem("ca.pem"), ...own, "-H", `tcp://127.0.0.1:${PORT}`];
  const argv = [...engine(world, 1).program, ...how, ...args];
  return attempt(argv, { netns: world.host(1).netns, ...input === undefined ? {} : { input } });
}

declareTests(
  suite({ name: "host kernel, proxy over TCP", open: enginesWorld, prepare }, {
    "what clients send to the end is answered to the end, and containers are on the mesh": async (world) => {
      const must = async (args: readonly string[], input?: string) => {
        const { code, stderr, stdout } = await docker(world, args, input === undefined ? {} : { input });
        assert.equal(code, 0, stderr);
        return stdout;
      };
      await must(["run", "-d", "--name", "web", "box", "sleep", "600"]);
      assert.match(await must(["exec", "web", "ip", "-o", "-4", "addr"]), /ethmesh0 +inet 10\.32\./);
      assert.equal(await must(["exec", "-i", "web", "cat"], "to the end"), "to the end");
      assert.equal(await must(["run", "--rm", "-i", "box", "cat"], "hi\n"), "hi\n");
      // The answer comes after the input has ended.
      const much = "0123456789abcdef".repeat(512 * 1024); // 8 MiB
      assert.equal(await must(["exec", "-i", "web", "busybox", "wc", "-c"], much), `${much.length}\n`);
      assert.equal(await must(["exec", "-i", "web", "cat"], much), much);
      await must(["rm", "-f", "web"]);
    },
    "clients without a certificate of the CA are turned away": async (world) => {
      assert.notEqual((await docker(world, ["version"], { who: "other" })).code, 0);
      // By TLS 1.3 a client may hear of it before the server has written it down.
      const log = () => Deno.readTextFileSync(world.host(1).log);
      await until("the log says so", () => /client of docker turned away.*certificate/.test(log()));
      assert.equal((await docker(world, ["version"])).code, 0);
    },
  }),
);
