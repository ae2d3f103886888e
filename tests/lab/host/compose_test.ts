/** Files of Docker Compose, as they are, on two hosts. */
import assert from "node:assert/strict";
import { attempt, FOLDER, type Output, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { engine, enginesWorld, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** A page with the host's name, and somebody who waits for it. */
const SERVICES = `
services:
  web:
    image: box
    command: sh -c "mkdir /www; hostname >/www/index.html; exec httpd -f -h /www"
    restart: always
  client:
    image: box
    command: sleep 600
    depends_on: [web]
`;
/** Two ways to say that services are on the mesh. */
const EXTERNAL = `version: "3.5"\n${SERVICES}networks: {default: {external: true, name: mesh}}\n`;
const OWN = `version: "3.5"\n${SERVICES}networks: {default: {driver: meshnet}}\n`;

/** Each of three is among so many answers, but for once in a million. */
const MANY = 40;

/** A project on a host. */
class Project {
  readonly #file: string;

  constructor(readonly world: World, readonly n: number, readonly name: string, text: string) {
    const { netns } = world.host(n);
    this.#file = `${FOLDER}/${netns}/${name}.yml`;
    Deno.writeTextFileSync(this.#file, text);
  }

  /** The project's name differs from host to host, as folders do: its networks have other names, and are one network. */
  compose(...args: readonly string[]): Promise<Output> {
    const env = { DOCKER_HOST: `unix://${this.world.host(this.n).runDir}/docker.sock`, HOME: FOLDER };
    return attempt(["docker-compose", "-f", this.#file, "-p", `${this.name}${this.n}`, ...args], { env });
  }

  async up(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.compose("up", "-d", ...args);
    assert.equal(code, 0, stderr);
  }

  /** Addresses of a service's containers. */
  async addresses(service: string): Promise<readonly string[]> {
    const ids = (await this.compose("ps", "-q", service)).stdout.split("\n").filter(Boolean);
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    const text = await engine(this.world, this.n).docker("inspect", "-f", format, ...ids);
    return text.split(/\s+/).filter(Boolean);
  }

  async fetch(from: string, address: string): Promise<string> {
    return await until(`${from} gets a page of ${address}`, async () => {
      const asked = await this.compose("exec", "-T", from, "wget", "-q", "-O", "-", `http://${address}/`);
      return asked.code === 0 ? asked.stdout.trim() : undefined;
    }, { everyMs: 200 });
  }

  /** What is at a name, asked for many times in a row by one command: starting one takes long. */
  async fetchAll(from: string, name: string): Promise<readonly string[]> {
    const script = `for i in $(busybox seq ${MANY}); do wget -q -O - http://${name}/; done`;
    return (await this.compose("exec", "-T", from, "sh", "-c", script)).stdout.split("\n").filter(Boolean);
  }
}

async function ready(world: World): Promise<void> {
  for (const n of [1, 2]) {
    await until("Docker has the network", async () => {
      return (await engine(world, n).attempt("network", "inspect", "mesh")).code === 0;
    });
  }
}

/** Brings a project up on both hosts, and down again. */
async function acrossHosts(world: World, name: string, text: string): Promise<void> {
  await ready(world);
  const [here, there] = [1, 2].map((n) => new Project(world, n, name, text)) as [Project, Project];
  await Promise.all([here.up("--scale", "web=2"), there.up("--scale", "web=1", "--scale", "client=0")]);
  const all = [...await here.addresses("web"), ...await there.addresses("web")];
  assert.equal(new Set(all).size, 3, all.join());
  const pages = new Set(await Promise.all(all.map((address) => here.fetch("client", address))));
  assert.equal(pages.size, 3);
  const found = new Set<string>();
  await until("the name leads to all three", async () => {
    for (const page of await here.fetchAll("client", "web.mesh.internal")) found.add(page);
    return found.size === 3;
  });
  assert.deepEqual(found, pages);
  await there.compose("restart", "-t", "0", "web");
  const [again] = await there.addresses("web");
  await here.fetch("client", again!);
  for (const project of [here, there]) {
    const { code, stderr } = await project.compose("down", "-t", "0");
    assert.equal(code, 0, stderr);
  }
}

declareTests(
  suite({ name: "host kernel, compose", open: enginesWorld, prepare: prepareEngines }, {
    "scaled services on the network mesh reach each other across hosts, and by one name": (world) =>
      acrossHosts(world, "external", EXTERNAL),
    "so do those whose file names nothing but the driver": (world) => acrossHosts(world, "own", OWN),
  }),
);
