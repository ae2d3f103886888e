/** `deno task bench docker`: what the network costs those who start containers. */
import { attempt, exec, until } from "../lab/common/process.ts";
import { Engine } from "../lab/host/engine.ts";
import { World } from "../lab/common/world.ts";
import { median } from "./figures.ts";
import { IDLE_DRIVER, IdleDriver } from "./idle_driver.ts";

/** Pairs, after one that fills caches. */
const ROUNDS = 25;
/** What `--net mesh` may take more than `--net bridge`, in milliseconds. */
const BAR_MS = 50;
/** A part of the mesh whose containers have no way out of it. */
const INSIDE = "10.33.0.0/16";
/** Bytes that are carried into a container, through the proxy and without it. */
const BYTES = 512 * 1024 * 1024;

/** Rows of the table: what, bar, measured; and the bars that were not met. */
export async function measureDocker(): Promise<
  { readonly rows: readonly (readonly string[])[]; readonly missed: readonly string[] }
> {
  const prefix = `mnb${Deno.pid}`;
  await using world = await World.create({
    ...{ hosts: 1, openvswitch: false, upOptions: ["--datapath", "bridge"], prefix },
  });
  const host = world.host(1);
  await using engine = new Engine(host);
  await engine.prepare();
  host.environment = { MESHNET_DOCKER: `unix://${engine.socket}` };
  host.startedBy = engine.inside;
  engine.start();
  await engine.answers();
  await engine.makeImage();
  await host.up();
  await until("Docker has the network", async () => {
    return (await engine.attempt("network", "inspect", "mesh")).code === 0;
  });
  await using _idle = await IdleDriver.start(host, {
    ...{ containers: ROUNDS + 1, folder: engine.pluginFolder },
  });
  await engine.docker("network", "create", "own");
  await engine.docker("network", "create", "-d", IDLE_DRIVER, "--ipam-driver", IDLE_DRIVER, "idle");
  await engine.docker(
    "network",
    "create",
    "-d",
    "meshnet",
    "--ipam-driver",
    "meshnet",
    "--internal",
    "--subnet",
    INSIDE,
    "inside",
  );
  const proxy = `unix://${host.runDir}/docker.sock`;
  const runOn = (network: string) => () => timeOf(["run", "--rm", "--net", network], engine.socket);
  const runs = await inTurn({
    ...{ bridge: runOn("bridge"), mesh: runOn("mesh"), inside: runOn("inside") },
    ...{ own: runOn("own"), idle: runOn("idle") },
    proxy: () => timeOf(["-H", proxy, "run", "--rm"], engine.socket),
  }, ROUNDS);
  type Run = keyof typeof runs;
  const added = (name: Run, to: Run = "bridge") => median(runs[name].map((ms, i) => ms - runs[to][i]!));
  const text = (name: Run, to: Run = "bridge") =>
    `${added(name, to).toFixed(0)} ms (${median(runs[name]).toFixed(0)} against ${
      median(runs[to]).toFixed(0)
    })`;
  const carried = await inTurn({
    direct: () => carry(`unix://${engine.socket}`),
    proxy: () => carry(proxy),
  }, 5);
  const rate = (name: "direct" | "proxy") => BYTES / 1e6 / (median(carried[name]) / 1000);
  const share = median(carried.direct.map((ms, i) => ms / carried.proxy[i]! * 100));
  const rows = [
    ["`docker run --rm --net mesh` more than `--net bridge`", `<= ${BAR_MS} ms`, text("mesh")],
    ["the same, a network of meshnet made with `--internal`", "as it comes", text("inside")],
    ["the same, a bridge made with `docker network create`", "as it comes", text("own")],
    ["the same, a network driver that does nothing but answer", "as it comes", text("idle")],
    ["`docker run --rm --net mesh` more than that driver: ours", "as it comes", text("mesh", "idle")],
    ["`docker run --rm` through the proxy more than that without it", "as it comes", text("proxy")],
    [
      "`docker load` through the proxy against that without it",
      "as it comes",
      `${share.toFixed(0)} % (${rate("proxy").toFixed(0)} against ${rate("direct").toFixed(0)} MB/s)`,
    ],
  ];
  const missed = added("mesh") > BAR_MS ? [`docker run --net mesh takes ${text("mesh")} more`] : [];
  return { rows, missed };
}

/** Times of some things that take turns, round by round, without the first. */
async function inTurn<Name extends string>(
  what: Readonly<Record<Name, () => Promise<number>>>,
  rounds: number,
): Promise<Readonly<Record<Name, readonly number[]>>> {
  const names = Object.keys(what) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const ms = await what[name]();
      if (round >= 0) times[name].push(ms);
    }
  }
  return times;
}

async function timeOf(args: readonly string[], socket: string): Promise<number> {
  const where = args[0] === "-H" ? [] : ["-H", `unix://${socket}`];
  const started = performance.now();
  await exec(["/usr/bin/docker", ...where, ...args, "box", "sh", "-c", ":"]);
  return performance.now() - started;
}

/** Gives the engine an archive that it reads to its end, and refuses. */
async function carry(host: string): Promise<number> {
  const started = performance.now();
  await attempt([
    ...["sh", "-c", `head -c ${BYTES} /dev/zero | /usr/bin/docker -H "$1" load`, "sh", host],
  ]);
  return performance.now() - started;
}
