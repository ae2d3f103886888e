/** Boots user-mode Linux, a kernel that runs as an ordinary process, and runs one program inside.
 *
 * The host's files are its files. The program's lines come back through a file; nothing of it outlives the `using`
 * block: not the kernel, not its processes, not its folders.
 */
import { statfsSync } from "node:fs";
import { command, programFolder } from "../../mod/tasks/run.ts";

/** How to boot. */
export interface UmlOptions {
  /** What to run inside, as root, once the kernel is up. */
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** After so long the kernel halts itself, whatever its program does. */
  readonly lifetimeSeconds: number;
  readonly memoryMb?: number;
}

/** Modules that a lab needs besides openvswitch, which a scenario loads when it wants it. */
const MODULES = [
  "veth",
  "bridge",
  "af_packet",
  "dummy",
  "macvlan",
  "tun",
  "sch_netem",
  "vxlan",
  "sch_ingress",
  "cls_bpf",
];
const MODULE_FOLDER = "/usr/lib/uml/modules";

/** A running kernel. */
export class Uml implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  readonly #console: Promise<string>;
  #ended = false;

  private constructor(child: Deno.ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#console = new Response(child.stdout).text();
    void child.status.then(() => this.#ended = true);
  }

  /** Boots; the program inside finds the path for its lines in the environment as `UML_LINES`. */
  static boot(options: UmlOptions): Uml {
    const folder = Deno.makeTempDirSync({ prefix: "meshnet-uml-" });
    const memory = options.memoryMb ?? 2048;
    Deno.writeTextFileSync(`${folder}/lines`, "");
    Deno.writeTextFileSync(`${folder}/init`, initScript(folder, options), { mode: 0o755 });
    // --kill-child: the kernel's processes form a namespace of their own, which ends with its first one.
    const child = command([
      ...["unshare", "--pid", "--fork", "--kill-child", "linux.uml", `mem=${memory}M`],
      ...["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", `init=${folder}/init`],
      ...["con=null", "con0=null,fd:1", "quiet", "panic=-1", `uml_dir=${folder}/uml`],
    ], {
      // The kernel's memory is a file here.
      env: { TMPDIR: roomFor(memory, folder) },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }, "lab").spawn();
    return new Uml(child, folder);
  }

  /** The lines that the program wrote, as they come; ends when the kernel ends. */
  async *lines(): AsyncGenerator<string> {
    let rest = "";
    using file = Deno.openSync(`${this.#folder}/lines`);
    const buffer = new Uint8Array(1 << 16);
    const decoder = new TextDecoder();
    while (true) {
      const last = this.#ended; // read once more after the end
      for (let read = file.readSync(buffer); read !== null; read = file.readSync(buffer)) {
        const parts = (rest + decoder.decode(buffer.subarray(0, read), { stream: true })).split("\n");
        rest = parts.pop()!;
        yield* parts;
      }
      if (last) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Everything on the console; complete once the kernel has ended. */
  async console(): Promise<string> {
    return await this.#console;
  }

  /** Ends the kernel if it runs, and removes what it left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      try {
        this.#child.kill("SIGKILL");
      } catch { /* it has just ended */ }
    }
    await this.#child.status;
    await this.#console;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Shared memory where it is large enough, since a file on a disk is slower. */
function roomFor(megabytes: number, otherwise: string): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize > megabytes * 1.5 * (1 << 20) ? "/dev/shm" : otherwise;
  } catch {
    return otherwise;
  }
}

function initScript(folder: string, options: UmlOptions): string {
  const env = { HOME: "/root", UML_LINES: `${folder}/lines`, TMPDIR: "/run/tmp", ...options.env };
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`);
  return `#!/bin/sh
export PATH=${quote(programFolder("lab"))}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/tmp /run/modules/lib
ln -s ${MODULE_FOLDER} /run/modules/lib/modules
modprobe -d /run/modules -a ${MODULES.join(" ")}
ip link set lo up
${exports.join("\n")}
cd /run
timeout -s KILL ${options.lifetimeSeconds} ${options.argv.map(quote).join(" ")} </dev/null
echo "exit code $?"
systemctl halt -ff
`; // should it fail, init ends, and panic=-1 ends the kernel
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
