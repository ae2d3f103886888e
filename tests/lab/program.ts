/** A program for the lab's kernel: bundled into one file outside, since inside starting from many files is slow. */
import { capture, programFolder, root, temporaryFolder } from "../../mod/tasks/run.ts";
import { Uml } from "./uml.ts";

/** A bundled program; its file lives as long as the `using` block. */
export class LabProgram implements Disposable {
  readonly #scratch = temporaryFolder();
  /** How to start it. */
  readonly argv: readonly string[];
  /** What the executable has unpacked: doing so is slow inside. */
  readonly #unpacked = `${this.#scratch.path}/cache`;
  /** What it finds in its environment: the executable under test above all. */
  readonly env: Readonly<Record<string, string>>;

  private constructor() {
    // A copy alone in a folder: nothing around it in the tree can be what makes it work.
    const exe = `${this.#scratch.path}/exe/meshnet`;
    Deno.mkdirSync(`${this.#scratch.path}/exe`);
    Deno.copyFileSync(`${root}/dist/meshnet`, exe);
    this.env = { LAB_EXE: exe, LAB_PROGRAMS: programFolder("lab"), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
    const flags = ["run", "-A", "-q", "--no-config", "--no-lock", "--no-code-cache"];
    this.argv = [Deno.execPath(), ...flags, `${this.#scratch.path}/program.js`];
  }

  /** Bundles a source file below the project's folder. */
  static async bundle(source: string): Promise<LabProgram> {
    const program = new LabProgram();
    const output = program.argv.at(-1)!;
    await capture([Deno.execPath(), "bundle", "-q", "--platform", "deno", "-o", output, source]);
    await capture([program.env.LAB_EXE!, "--version"], { env: { MESHNET_CACHE_DIR: program.#unpacked } });
    return program;
  }

  /** A folder for what it writes when it runs outside. */
  get folder(): string {
    return `${this.#scratch.path}/run`;
  }

  /** Boots a kernel that runs it. What Deno and meshnet keep for later starts stays inside that kernel; meshnet finds itself
   * unpacked there. */
  boot(options: { readonly lifetimeSeconds: number; readonly env?: Readonly<Record<string, string>> }): Uml {
    const inside = { DENO_DIR: "/run/tmp/deno", MESHNET_CACHE_DIR: "/run/cache" };
    const argv = ["sh", "-c", 'cp -a "$0" /run/cache && exec "$@"', this.#unpacked, ...this.argv];
    return Uml.boot({ ...options, argv, env: { ...this.env, ...inside, ...options.env } });
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}
