/** Clients of real engines that speak to them through meshnet. */
import assert from "node:assert/strict";
import { attempt, exec, FOLDER, type Output, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import type { Engine } from "./engine.ts";
import { engine, enginesWorld, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** Docker's client through the proxy of a host. */
class Client {
  readonly socket: string;

  constructor(readonly engine: Engine) {
    this.socket = `${engine.host.runDir}/docker.sock`;
  }

  attempt(args: readonly string[], input?: string): Promise<Output> {
    const options = input === undefined ? {} : { input };
    return attempt([...this.engine.client(this.socket), ...args], options);
  }

  async run(...args: readonly string[]): Promise<string> {
    return (await exec([...this.engine.client(this.socket), ...args])).trim();
  }

  get host(): Host {
    return this.engine.host;
  }

  /** Sends bytes as they are, and reads until the end. */
  async raw(...pieces: readonly string[]): Promise<string> {
    using connection = await Deno.connect({ transport: "unix", path: this.socket });
    const writer = connection.writable.getWriter();
    for (const piece of pieces) await writer.write(new TextEncoder().encode(piece));
    return await new Response(connection.readable).text();
  }

  /** A request with a JSON body, in the version of the API that is named, if any. */
  post(path: string, body: string, version = ""): Promise<string> {
    const head = `POST ${version}${path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n`;
    return this.raw(`${head}Content-Length: ${new TextEncoder().encode(body).length}\r\n\r\n${body}`);
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    const ids = (await this.run("ps", "-aq")).split("\n").filter(Boolean);
    if (ids.length > 0) await this.run("rm", "-f", ...ids);
  }
}

/** What `ip` shows of the mesh in a container. */
const SHOW = ["ip", "-o", "-4", "addr", "show"];
const meshAddresses = (text: string) =>
  [...text.matchAll(/ethmesh[0-9]+ +inet (\S+)/g)].map(([, cidr]) => cidr!);

function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 ([0-9]+)/.exec(answer)?.[1]);
}

function idOf(answer: string): string {
  return /"Id":"([0-9a-f]{64})"/.exec(answer)?.[1] ?? assert.fail(answer);
}

async function ready(world: World): Promise<readonly Client[]> {
  return await Promise.all(world.hosts.map(async (_host, i) => {
    await until("Docker has the network", async () => {
      return (await engine(world, i + 1).attempt("network", "inspect", "mesh")).code === 0;
    });
    return new Client(engine(world, i + 1));
  }));
}

declareTests(
  suite({ name: "host kernel, proxy of an engine", open: enginesWorld, prepare: prepareEngines }, {
    "what clients create is on the mesh before its first process, where its environment says": async (
      world,
    ) => {
      const [here, there] = await ready(world) as [Client, Client];
      assert.match(await here.host.run("docker", "env"), /^export DOCKER_HOST=unix:\/\/\S+docker\.sock\n$/);
      assert.equal(await here.host.run("docker", "config"), `-H=unix://${here.socket}\n`);
      const show = async (...options: readonly string[]) =>
        meshAddresses(await here.run("run", "--rm", ...options, "box", ...SHOW));
      assert.match((await show()).join(), /^10\.32\.[0-9.]+\/12$/);
      assert.deepEqual(await show("-e", "MESHNET_CIDR=none"), []);
      assert.deepEqual(await show("-e", "WEAVE_CIDR=10.32.5.5/12"), ["10.32.5.5/12"]);
      assert.match((await show("-e", "MESHNET_CIDR=net:10.33.1.0/24")).join(), /^10\.33\.1\.[0-9]+\/24$/);
      assert.deepEqual(await show("-e", "MESHNET_CIDR=10.34.1.9/24"), ["10.34.1.9/24"]);
      assert.deepEqual(await show("-e", "MESHNET_CIDR=10.2.1.9/24"), ["10.2.1.9/24"]); // not of the range
      const both = await show("-e", "MESHNET_CIDR=net:default 10.2.1.9/24");
      assert.match(both.toSorted().join(), /^10\.2\.1\.9\/24,10\.32\.[0-9.]+\/12$/);
      for (const network of ["host", "none", "mesh"]) {
        assert.equal((await show("--net", network)).length, network === "mesh" ? 1 : 0, network);
      }
      assert.equal(await here.run("run", "--rm", "--name", "web", "box", "busybox", "hostname"), "web");
      assert.equal(
        await here.run("run", "--rm", "--name", "web", "-h", "own", "box", "busybox", "hostname"),
        "own",
      );

      await here.run("run", "-d", "--name", "web", "-e", "MESHNET_CIDR=10.34.1.1/24", "box", "sleep", "600");
      await there.run("run", "-d", "--name", "db", "-e", "MESHNET_CIDR=10.34.1.2/24", "box", "sleep", "600");
      await engine(world, 1).pings("web", "10.34.1.2");
      await here.run("restart", "-t", "0", "web");
      await engine(world, 1).pings("web", "10.34.1.2");
      const joined = await here.run("run", "--rm", "--net", "container:web", "box", ...SHOW);
      assert.deepEqual(meshAddresses(joined), ["10.34.1.1/24"]);

      const wrong = await here.attempt(["run", "--rm", "-e", "MESHNET_CIDR=10.34.1.0/24", "box", "true"]);
      assert.match(
        wrong.stderr,
        /Cannot use address 10\.34\.1\.0\/24: it is the address of the network itself/,
      );
      const taken = await there.attempt(["run", "-e", "MESHNET_CIDR=10.34.1.1/24", "box", "true"]);
      assert.notEqual(taken.code, 0);
      await here.clear();
      await there.clear();
    },
    "streams, halves of streams, chunks and errors go through": async (world) => {
      const [client] = await ready(world) as [Client];
      await client.run("run", "-d", "--name", "web", "box", "sleep", "600");
      assert.equal((await client.attempt(["exec", "-i", "web", "cat"], "to the end")).stdout, "to the end");
      const much = "0123456789abcdef".repeat(256 * 1024); // 4 MiB
      const inward = await client.attempt(["run", "--rm", "-i", "box", "busybox", "wc", "-c"], much);
      assert.equal(inward.stdout.trim(), String(much.length), inward.stderr);
      const outward = await client.run("run", "--rm", "box", "busybox", "seq", "500000");
      assert.equal(outward.length, 3_388_894);
      assert.equal((await client.attempt(["exec", "web", "sh", "-c", "exit 7"])).code, 7);
      assert.match((await client.attempt(["run", "nothing"])).stderr, /nothing:latest/);
      assert.match(
        (await client.attempt(["create", "--name", "web", "box", "sh"])).stderr,
        /name "\/web" is already in use/,
      );

      const saved = `${FOLDER}/${client.host.netns}/saved.tar`;
      await client.run("save", "-o", saved, "box");
      await client.run("rmi", "-f", "box");
      await client.run("load", "-i", saved); // in chunks
      const made = await client.attempt(["build", "-q", "-t", "made", "-"], "FROM box\nENV A=b\n");
      assert.equal(made.code, 0, made.stderr);
      assert.equal(await client.run("run", "--rm", "made", "sh", "-c", "echo $A"), "b");

      const body = JSON.stringify({
        Image: "box",
        Cmd: ["sleep", "9"],
        Labels: { long: "x".repeat(100_000) },
      });
      const head =
        "POST /containers/create HTTP/1.1\r\nHost: /var/run/docker.sock\r\nContent-Type: application/json\r\n";
      const chunk = `${body.length.toString(16)}\r\n${body}\r\n`; // longer than 64 KiB
      const created = await client.raw(`${head}Transfer-Encoding: chunked\r\n\r\n`, chunk, "0\r\n\r\n");
      assert.equal(statusOf(created), 201, created.slice(0, 300));
      const told = await client.raw(
        `${head}Expect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`,
        body,
      );
      assert.match(told, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /);
      assert.equal(statusOf(await client.raw("GARBAGE\r\n\r\n")), 400);
      assert.equal(statusOf(await client.raw(`GET / HTTP/1.1\r\nA: ${"a".repeat(300_000)}\r\n\r\n`)), 431);
      const endless = `${head}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n`;
      assert.equal(statusOf(await client.raw(endless, "x".repeat(5_000_000))), 413);
      await client.clear();

      await engine(world, 1).kill();
      const away = await client.attempt(["version"]);
      assert.match(away.stderr, /meshnet cannot reach the engine/);
      engine(world, 1).start();
      await engine(world, 1).answers();
      assert.equal((await client.attempt(["version"])).code, 0);
    },
    "old clients' requests to start, with whatever body, leave containers where they belong": async (
      world,
    ) => {
      const [client] = await ready(world) as [Client];
      // From Docker 25 on there are no such clients any more.
      const least = await client.run("version", "-f", "{{.Server.MinAPIVersion}}");
      const old = Number(least.split(".")[1]) < 24 ? "/v1.22" : "";
      const create = async (body: unknown, version = old) =>
        idOf(await client.post("/containers/create", JSON.stringify(body), version));
      const networks = async (id: string) =>
        (await client.run("inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}", id))
          .split(" ").filter(Boolean).toSorted();
      const sleeps = { Image: "box", Cmd: ["sleep", "600"] };
      const usual = ["bridge", "mesh"];
      for (
        const host of [undefined, null, {}, { NetworkMode: "" }, { NetworkMode: "default" }, {
          networkmode: "bridge",
        }]
      ) {
        const id = await create(host === undefined ? sleeps : { ...sleeps, HostConfig: host });
        assert.deepEqual(await networks(id), usual, JSON.stringify(host));
      }
      for (const host of [{ NetworkMode: "host" }, { networkMODE: "none" }]) {
        const id = await create({ ...sleeps, HostConfig: host });
        assert.deepEqual((await networks(id)).includes("mesh"), false, JSON.stringify(host));
      }
      const minimal = await create({ Image: "box", Cmd: ["sleep", "600"] }, "");
      assert.deepEqual(await networks(minimal), usual);
      const starts: readonly [body: string, networks: readonly string[]][] = [
        ["", usual],
        ["{}", usual],
        ["null", usual],
        [`{"HostConfig":null}`, usual],
        [`{"Binds":["/tmp:/x"]}`, usual],
        [`{"HostConfig":{"Binds":["/tmp:/x"]}}`, usual],
        [`{"NetworkMode":"host"}`, ["host"]],
        [`{"HostConfig":{"NetworkMode":"host"}}`, ["host"]],
        [`{"NetworkMode":"container:${minimal}"}`, []],
      ];
      await client.run("start", minimal);
      for (const [body, expected] of starts) {
        const id = await create(sleeps);
        const isTaken = old !== "" || body.length < 8;
        const answer = await client.post(`/containers/${id}/start`, body, old);
        assert.equal(statusOf(answer), isTaken ? 204 : 400, `${body} ${answer}`);
        assert.deepEqual(await networks(id), isTaken ? expected : usual, body);
      }
      // Numbers that are larger than this language holds come through.
      const limits =
        `{"Image":"box","Cmd":["sleep","600"],"HostConfig":{"Ulimits":[{"Name":"fsize","Soft":9223372036854775807,"Hard":9223372036854775807}]}}`;
      const limited = idOf(await client.post("/containers/create?name=limited", limits));
      assert.match(await client.run("inspect", limited), /"Hard": 9223372036854775807/);
      await client.clear();
    },
  }),
);
