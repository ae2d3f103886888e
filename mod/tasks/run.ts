/** What the tasks share: where the project lies, and running other programs. */

/** The project's folder, without a slash at its end. */
export const root: string = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** How to run a program. */
export interface RunOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working folder; the project's by default. */
  readonly cwd?: string;
  /** After so long the program is killed, which counts as a failure. */
  readonly timeoutMs?: number;
}

/** How a program ended. */
export interface RunResult {
  readonly code: number;
  readonly timedOut: boolean;
  readonly seconds: number;
}

/** Runs a program with this terminal's output; never throws for its failure. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const started = performance.now();
  const child = start(argv, options, "inherit");
  using limit = killAfter(child, options.timeoutMs);
  const { code } = await child.status;
  return { code, timedOut: limit.reached, seconds: (performance.now() - started) / 1000 };
}

/** Runs a program and gives what it printed; its failure is thrown with what it complained about. */
export async function capture(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = start(argv, options, "piped");
  using limit = killAfter(child, options.timeoutMs);
  const { success, code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  if (success) return text.decode(stdout);
  const why = limit.reached ? "it took too long" : `exit code is ${code}`;
  throw new Error(`Cannot run ${argv.slice(0, 3).join(" ")}: ${why}\n${text.decode(stderr).trim()}`);
}

function start(argv: readonly string[], options: RunOptions, output: "inherit" | "piped"): Deno.ChildProcess {
  const [program, ...args] = argv;
  return new Deno.Command(program!, {
    args,
    cwd: options.cwd ?? root,
    env: { ...options.env },
    stdin: "null",
    stdout: output,
    stderr: output,
  }).spawn();
}

function killAfter(
  child: Deno.ChildProcess,
  ms: number | undefined,
): Disposable & { readonly reached: boolean } {
  const state = { reached: false, [Symbol.dispose]: () => clearTimeout(timer) };
  const timer = setTimeout(() => {
    state.reached = true;
    child.kill("SIGKILL");
  }, ms ?? 2 ** 31 - 1);
  return state;
}

/** Whether something is at a path. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a program of this name is installed. System folders count also where PATH lacks them, as for plain users. */
export function hasProgram(name: string): boolean {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
  return folders.some((folder) => folder !== "" && exists(`${folder}/${name}`));
}

/** Ends the task with a message on standard error. */
export function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}

/** A folder that is removed at the end of its block. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync({ prefix: "meshnet-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
