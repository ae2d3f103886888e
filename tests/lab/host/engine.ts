/** A real container engine on a host of the lab: Docker's daemon, in the host's network namespace and in a mount namespace
 * of its own, which outlives it. All of it lies in the host's folder. */
import { attempt, Background, exec, FOLDER, Hopeless, type Output, until } from "../common/process.ts";
import type { Host } from "../common/world.ts";

/** Debian's client: a machine may have another one, too. */
const DOCKER = "/usr/bin/docker";
/** The folder of another Debian (mod/tasks/engine.ts), whose engine and client these are; this machine's own where there is
 * none. Hosts have all of its programs. */
const ROOT = Deno.env.get("LAB_ENGINE") ?? "";
/** Programs of the image, which is busybox. */
const APPLETS = ["sh", "sleep", "ping", "ip", "cat", "wget", "httpd", "nslookup"];

/** What the engine has of its own. A root that was just made has no control groups; the engine needs them. */
const MOUNTS = `set -e
mkdir -p /run/docker /etc/docker
mount -t tmpfs none /run/docker
mount -t tmpfs none /etc/docker
[ "$1" = "" ] || mount --bind "$1" /etc/resolv.conf
[ "$2" = "" ] || mount --bind "$2/usr" /usr
if ! grep -q " cgroup2* " /proc/self/mounts; then
  mount -t tmpfs none /sys/fs/cgroup
  for name in $(grep -v "^#" /proc/cgroups | grep "1$" | cut -f 1); do
    mkdir "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" none "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
  done
fi
echo ready
exec sleep 3600`;
const SLEEPS = "trap exit TERM; sleep 3600 & wait";

/** Docker on a host. Disposing it ends it with every container. */
export class Engine implements AsyncDisposable {
  readonly socket: string;
  readonly #folder: string;
  readonly #log: string;
  /** Keeps the mount namespace. */
  #mounts: Background | undefined;
  #daemon: Background | undefined;

  /** `nameServer`: whom this host asks for names, in place of the machine's. */
  constructor(readonly host: Host, readonly nameServer?: string) {
    this.#folder = `${FOLDER}/${host.netns}/docker`;
    this.socket = `${this.#folder}/docker.sock`;
    this.#log = `${this.#folder}/log`;
  }

  /** What enters the mount namespace of the engine. */
  get inside(): readonly string[] {
    return ["nsenter", `--mount=/proc/${this.#mounts!.pid}/ns/mnt`];
  }

  /** Where the engine looks for plugins, as others see it. */
  get pluginFolder(): string {
    const itsRoot = `/proc/${this.#mounts!.pid}/root`;
    return `${itsRoot}/run/docker/plugins`;
  }

  /** Makes the mount namespace, in which `/run/docker` is the engine's own. */
  async prepare(): Promise<void> {
    Deno.mkdirSync(this.#folder, { recursive: true });
    const resolvConf = this.nameServer === undefined ? "" : `${this.#folder}/resolv.conf`;
    if (resolvConf !== "") Deno.writeTextFileSync(resolvConf, `nameserver ${this.nameServer}\n`);
    const argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", MOUNTS, "sh", resolvConf, ROOT];
    this.#mounts = new Background(argv, this.#log);
    await until("the engine has a mount namespace", () => {
      if (this.#mounts!.code !== undefined) throw new Hopeless(this.#mounts!.output());
      return this.#mounts!.output().includes("ready");
    });
  }

  /** Starts it without waiting. */
  start(): void {
    const folder = this.#folder;
    const argv = [
      ...[...this.inside, "dockerd", "--data-root", `${folder}/data`, "--exec-root", `${folder}/exec`],
      ...["-H", `unix://${this.socket}`, "--pidfile", `${folder}/pid`, "--shutdown-timeout", "1"],
    ];
    // It starts what its own package depends on.
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
    this.#daemon = new Background(argv, this.#log, { netns: this.host.netns, env });
  }

  /** Waits until it answers. */
  async answers(): Promise<void> {
    await until("the engine answers", async () => {
      const { code } = this.#daemon!;
      if (code !== undefined) throw new Hopeless(`The engine ended with ${code}`);
      return (await this.attempt("version")).code === 0;
    }, { everyMs: 100 });
  }

  /** Makes the image `box`. */
  async makeImage(): Promise<void> {
    const bin = `${this.#folder}/image/bin`;
    Deno.mkdirSync(bin, { recursive: true });
    for (const applet of APPLETS) Deno.symlinkSync("busybox", `${bin}/${applet}`);
    Deno.copyFileSync("/bin/busybox", `${bin}/busybox`);
    const archive = `${this.#folder}/image.tar`;
    await exec(["tar", "-C", `${this.#folder}/image`, "-cf", archive, "."]);
    await this.docker("import", "-c", "ENV PATH=/bin", archive, "box");
  }

  /** The client of the engine's own release. */
  get program(): readonly string[] {
    return [...ROOT === "" ? [] : this.inside, DOCKER];
  }

  /** The client at this socket. */
  client(socket = this.socket): readonly string[] {
    return [...this.program, "-H", `unix://${socket}`];
  }

  /** Runs a command of the client, whatever its exit code. */
  async attempt(...args: readonly string[]): Promise<Output> {
    return await attempt([...this.client(), ...args]);
  }

  /** Runs a command of the client that must succeed; what it prints without the line end. */
  async docker(...args: readonly string[]): Promise<string> {
    return (await exec([...this.client(), ...args])).trim();
  }

  /** Starts a container that only sleeps, and ends when it is told to: an engine that starts anew waits for that. */
  async run(name: string, ...options: readonly string[]): Promise<string> {
    return await this.docker("run", "-d", "--name", name, ...options, "box", "sh", "-c", SLEEPS);
  }

  /** Pings from a container, and waits for the first answer. */
  async pings(name: string, address: string): Promise<void> {
    await until(`${name} reaches ${address}`, async () => {
      return (await this.attempt("exec", name, "ping", "-c", "1", "-W", "1", address)).code === 0;
    }, { everyMs: 100 });
  }

  /** Ends it with SIGKILL; containers go on. */
  async kill(): Promise<void> {
    this.#daemon!.kill("SIGKILL");
    await this.#daemon!.ended();
    Deno.removeSync(`${this.#folder}/pid`); // another process may get its number, and keep the next one from starting
    await this.#endsContainerd();
  }

  /** What it has said since it was first started. */
  said(): string {
    return this.#daemon?.output() ?? "(never started)";
  }

  /** What it said last. */
  explain(): string {
    return this.said().trim().split("\n").slice(-20).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout } = await this.attempt("ps", "-aq");
    const ids = stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await this.attempt("rm", "-f", ...ids);
    if (this.#daemon !== undefined) {
      this.#daemon.kill("SIGTERM");
      await Promise.race([this.#daemon.ended(), new Promise((resolve) => setTimeout(resolve, 5_000))]);
      await this.#daemon[Symbol.asyncDispose]();
    }
    for (const pid of this.#left()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch { /* it has ended */ }
    }
    await until("all that the engine started has ended", () => this.#left().length === 0);
    await this.#mounts?.[Symbol.asyncDispose]();
  }

  /** What the daemon started for itself ends with it. Its pid file would have the next one wait for it where nobody reaps
   * what lost its parent. */
  async #endsContainerd(): Promise<void> {
    const file = `${this.#folder}/exec/containerd/containerd.pid`;
    const pid = Number(Deno.readTextFileSync(file));
    await until("containerd has ended", () => !this.#left().includes(pid));
    Deno.removeSync(file);
  }

  /** Processes that the engine started and that name its folder. */
  #left(): readonly number[] {
    return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
      if (!Number.isInteger(pid) || pid === Deno.pid) return false;
      try {
        const line = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
        return /^(\/\S*\/)?containerd/.test(line) && line.includes(this.#folder);
      } catch {
        return false;
      }
    });
  }
}
