/** Another engine by the same socket: podman, as Docker's client speaks to it. */
import assert from "node:assert/strict";
import { attempt, Background, exec, FOLDER, Hopeless, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { addressOf } from "./engine_world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

/** Podman's own state goes where nobody else sees it. Where a machine has control groups of both kinds, crun refuses to run
 * as long as it sees both: it is shown the older kind. */
const SERVICE = `set -e
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
mkdir -p /run/containers /run/libpod
for place in /run/containers /run/libpod /dev/shm; do mount -t tmpfs none $place; done
exec podman --root "$1/root" --runroot "$1/runroot" --cgroup-manager cgroupfs --runtime crun \\
  --events-backend file system service --time 0 "unix://$1/podman.sock"`;
/** Control groups that are empty stay otherwise. */
const CLEAN = "for top in /sys/fs/cgroup/libpod_parent /sys/fs/cgroup/*/libpod_parent; do " +
  '[ ! -d "$top" ] || find "$top" -depth -type d -exec rmdir {} +; done';
/** No network of its own, and limits that podman may set in a container, too. */
const OPTIONS = ["--net", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

const services = new WeakMap<World, Background>();

const folderOf = (world: World) => `${FOLDER}/${world.host(1).netns}/podman`;

/** Processes that look after what ran in a container, for minutes after its end. */
function monitors(folder: string): readonly number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      const line = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
      return /^\/\S*\/conmon\0/.test(line) && line.includes(folder);
    } catch {
      return false;
    }
  });
}

async function open(): Promise<World> {
  const world = await hostWorld({ hosts: 1 });
  const end = world[Symbol.asyncDispose].bind(world);
  Object.assign(world, {
    [Symbol.asyncDispose]: async () => {
      await client(world, "rm", "-f", "web", "plain");
      await services.get(world)?.[Symbol.asyncDispose]();
      for (const pid of monitors(folderOf(world))) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch { /* it has ended */ }
      }
      await until("all that podman started has ended", () => monitors(folderOf(world)).length === 0);
      await attempt(["sh", "-c", CLEAN]);
      await end();
    },
  });
  return world;
}

async function prepare(world: World): Promise<void> {
  const host = world.host(1);
  const folder = folderOf(world);
  Deno.mkdirSync(`${folder}/image/bin`, { recursive: true });
  const argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", SERVICE, "sh", folder];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }; // it starts what its own package depends on
  const service = new Background(argv, `${folder}/log`, { netns: host.netns, env });
  services.set(world, service);
  await until("podman answers", async () => {
    if (service.code !== undefined) throw new Hopeless(service.output());
    return (await client(world, "version")).code === 0;
  });
  Deno.copyFileSync("/bin/busybox", `${folder}/image/bin/busybox`);
  for (const applet of ["sh", "sleep", "cat"]) Deno.symlinkSync("busybox", `${folder}/image/bin/${applet}`);
  await exec(["tar", "-C", `${folder}/image`, "-cf", `${folder}/image.tar`, "."]);
  const { code, stderr } = await client(world, "import", "-c", "ENV PATH=/bin", `${folder}/image.tar`, "box");
  assert.equal(code, 0, stderr);
  host.environment = { MESHNET_DOCKER: `unix://${folder}/podman.sock`, MESHNET_DOCKER_PLUGIN: "off" };
  await host.up();
}

/** Docker's client. */
function client(world: World, ...args: readonly string[]) {
  return attempt(["/usr/bin/docker", "-H", `unix://${folderOf(world)}/podman.sock`, ...args]);
}

declareTests(
  suite({ name: "host kernel, podman", open, prepare }, {
    "containers of podman are attached by label and by name, come back with their address, and leave nothing":
      async (
        world,
      ) => {
        const host = world.host(1);
        const label = ["--label", "meshnet.name=web"];
        const made = await client(
          world,
          "run",
          "-d",
          "--name",
          "web",
          ...OPTIONS,
          ...label,
          "box",
          "sleep",
          "600",
        );
        assert.equal(made.code, 0, made.stderr);
        const address = await addressOf(host, "web");
        assert.equal(await host.run("dns", "lookup", "web"), `${address}\n`);
        const shown = await client(
          world,
          "exec",
          "web",
          "busybox",
          "ip",
          "-o",
          "-4",
          "addr",
          "show",
          "ethmesh",
        );
        assert.ok(shown.stdout.includes(address), shown.stdout + shown.stderr);
        await client(world, "restart", "-t", "0", "web");
        assert.equal(await addressOf(host, "web"), address);
        const proxy = `unix://${host.runDir}/docker.sock`;
        const through = await attempt(["/usr/bin/docker", "-H", proxy, "exec", "-i", "web", "cat"], {
          input: "to the end",
        });
        assert.equal(through.stdout, "to the end", through.stderr);
        const plain = await client(world, "run", "-d", "--name", "plain", ...OPTIONS, "box", "sleep", "600");
        assert.equal(plain.code, 0, plain.stderr);
        assert.match(await host.run("attach", "10.2.1.7/24", "plain"), /ethmesh has 10\.2\.1\.7\/24/);
        await client(world, "restart", "-t", "0", "plain");
        assert.equal(await addressOf(host, "plain"), "10.2.1.7");
        await client(world, "rm", "-f", "web", "plain");
        await until("nothing is left of it", async () => (await host.status()).attachments.length === 0);
      },
  }),
);
