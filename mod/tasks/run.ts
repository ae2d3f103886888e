/** What tasks and tests share: where the project lies, and starting other programs. */
import { checkProgram, programsOf, type Purpose, WHOLE_SYSTEM } from "./packages.ts";

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
  /** Whose list the program must be on; that of all tests by default. */
  readonly purpose?: Purpose;
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
  const cwd = options.cwd ?? root;
  const env = { ...options.env };
  return command(argv, { cwd, env, stdin: "null", stdout: output, stderr: output }, options.purpose)
    .spawn();
}

/** The one place where tasks and tests start programs. Refuses what is not on the purpose's list in packages.ts; what
 * the program starts in its turn, as a shell does, it finds among the programs of that list alone. */
export function command(
  argv: readonly string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
  purpose: Purpose = "test",
): Deno.Command {
  const [program = "", ...args] = argv;
  checkCallable(program, purpose);
  const PATH = WHOLE_SYSTEM.has(purpose) ? SYSTEM_FOLDERS.join(":") : programFolder(purpose);
  return new Deno.Command(program, { ...options, args, env: { PATH, ...options.env } });
}

/** Throws, saying what to do, unless a program is on the purpose's list and installed. */
export function checkCallable(program: string, purpose: Purpose): void {
  if (program === Deno.execPath()) return;
  checkProgram(program, purpose);
  if (program.includes("/") || hasProgram(program)) return;
  throw new Error(`Cannot start ${program}: it is not installed. Run \`deno task setup ${purpose}\` as root`);
}

const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const folders = new Map<string, string>();

/** A folder with links to the programs that a purpose may call, as far as they are installed. It is kept for later
 * runs below `.cache`, named after its content. `LAB_PROGRAMS` names it where the project's folder is out of sight. */
export function programFolder(purpose: Purpose): string {
  const given = Deno.env.get("LAB_PROGRAMS");
  if (given !== undefined) return given;
  const known = folders.get(purpose);
  if (known !== undefined) return known;
  const links = programsOf(purpose).map((name) => [name, programPath(name)] as const)
    .filter((link): link is readonly [string, string] => link[1] !== undefined);
  const path = `${root}/.cache/programs-${purpose}-${fingerprint(links.map((link) => link.join(" ")))}`;
  if (!exists(path)) linkAll(path, links);
  folders.set(purpose, path);
  return path;
}

/** Makes a folder of links; it appears whole or not at all. */
function linkAll(path: string, links: readonly (readonly [string, string])[]): void {
  Deno.mkdirSync(`${root}/.cache`, { recursive: true });
  const fresh = Deno.makeTempDirSync({ dir: `${root}/.cache` });
  for (const [name, target] of links) Deno.symlinkSync(target, `${fresh}/${name}`);
  Deno.chmodSync(fresh, 0o755);
  try {
    Deno.renameSync(fresh, path);
  } catch {
    Deno.removeSync(fresh, { recursive: true }); // another process was faster
  }
}

/** Eight digits that differ where the lines do (FNV-1a). */
function fingerprint(lines: readonly string[]): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(lines.join("\n"))) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
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

/** Where a program of this name is installed. System folders count also where PATH lacks them, as for plain users. */
export function programPath(name: string): string | undefined {
  const folders = [...SYSTEM_FOLDERS, ...(Deno.env.get("PATH") ?? "").split(":")];
  return folders.filter((folder) => folder.startsWith("/")).map((folder) => `${folder}/${name}`).find(exists);
}

/** Whether a program of this name is installed. */
export function hasProgram(name: string): boolean {
  return programPath(name) !== undefined;
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
