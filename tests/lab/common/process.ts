/** Running programs in a lab. Inside user-mode Linux, starting one costs 10 to 50 times what it costs outside: start few. */
import type { Purpose } from "../../../mod/tasks/packages.ts";
import { checkCallable, command } from "../../../mod/tasks/run.ts";
import { slowness } from "./pace.ts";

/** Folder for sockets, states and logs. */
export const FOLDER: string = Deno.env.get("LAB_FOLDER") ?? "/run/lab";
/** Between two questions of until(). */
const LEAST_PAUSE_MS = 20;
const MOST_PAUSE_MS = 250;

/** How to run a program. */
export interface ExecOptions {
  /** Network namespace to run in, by name. */
  readonly netns?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** Given to its standard input. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Asked with what it has printed so far: once this holds, it is interrupted. */
  readonly enough?: (stdout: string) => boolean;
  /** Whose list of programs it must be on (mod/tasks/packages.ts); the lab's by default. */
  readonly purpose?: Purpose;
}

/** How a program ended. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The argument list that runs a program in a namespace. */
export function inNamespace(netns: string | undefined, argv: readonly string[]): readonly string[] {
  return netns === undefined ? argv : ["nsenter", `--net=/run/netns/${netns}`, ...argv];
}

/** A program of the lab's list, before its start. */
function prepare(
  argv: readonly string[],
  options: ExecOptions,
  streams: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">,
): Deno.Command {
  const purpose = options.purpose ?? "lab";
  const [program = ""] = argv;
  checkCallable(program, purpose); // command() sees only what enters the namespace
  return command(inNamespace(options.netns, argv), { env: { ...options.env }, ...streams }, purpose);
}

/** Runs a program to its end, whatever its exit code. */
export async function attempt(argv: readonly string[], options: ExecOptions = {}): Promise<Output> {
  const stdin = options.input === undefined ? "null" : "piped";
  const child = prepare(argv, options, { stdin, stdout: "piped", stderr: "piped" }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), (options.timeoutMs ?? 120_000) * slowness());
  try {
    if (options.input !== undefined) {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(options.input));
      await writer.close();
    }
    const [{ code }, stdout, stderr] = await Promise.all([
      child.status,
      readAll(child.stdout, (text) => {
        if (options.enough?.(text)) interrupt(child);
      }),
      readAll(child.stderr),
    ]);
    return { code, stdout, stderr: stderr + advice(code) };
  } finally {
    clearTimeout(timer);
  }
}

function interrupt(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGINT");
  } catch { /* it has just ended */ }
}

/** All of a stream; `seen` is told what there is of it, again and again. */
async function readAll(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  seen?: (text: string) => void,
): Promise<string> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    text += part;
    seen?.(text);
  }
  return text;
}

/** Shells end with 127 when they do not find what they shall start. */
function advice(code: number): string {
  return code !== 127 ? "" : "(Programs are found only if mod/tasks/packages.ts has them on its list.)\n";
}

/** Runs a program that must succeed and gives its standard output. */
export async function exec(argv: readonly string[], options: ExecOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(argv, options);
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** Many `ip` commands in one process. */
export async function ip(commands: readonly string[], netns?: string): Promise<void> {
  const where = netns === undefined ? [] : ["-n", netns];
  await exec(["ip", ...where, "-batch", "-"], { input: commands.join("\n") + "\n" });
}

/** A program that runs beside the scenario, its output in a file. */
export class Background implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  #code: number | undefined;

  constructor(readonly argv: readonly string[], readonly log: string, options: ExecOptions = {}) {
    const [program = ""] = argv;
    checkCallable(program, options.purpose ?? "lab");
    const line = ["sh", "-c", `log=$1; shift; exec "$@" >>"$log" 2>&1`, "sh", log];
    this.#child = prepare([...line, ...inNamespace(options.netns, argv)], { ...options, netns: undefined }, {
      ...{ stdin: "null", stdout: "null", stderr: "null" },
    }).spawn();
    void this.#child.status.then(({ code }) => this.#code = code);
  }
  get pid(): number {
    return this.#child.pid;
  }
  /** Exit code; undefined while it runs. */
  get code(): number | undefined {
    return this.#code;
  }
  /** Sends a signal unless it has ended. */
  kill(signal: Deno.Signal): void {
    if (this.#code === undefined) this.#child.kill(signal);
  }
  /** Waits for its end and gives the exit code. */
  async ended(): Promise<number> {
    return (await this.#child.status).code;
  }
  /** Its output so far. */
  output(): string {
    try {
      return Deno.readTextFileSync(this.log);
    } catch {
      return "";
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.#child.status;
  }
}

/** What is asked for will never be: until() passes it on at once. */
export class Hopeless extends Error {}

/** Asks again and again, until the answer is neither undefined nor false; the time is bounded. A slow kernel has longer
 * (pace.ts). Without `everyMs` the pauses are thrice as long as the answers take, so that asking does not keep busy what
 * is waited for. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  options: { readonly ms?: number; readonly everyMs?: number | undefined } = {},
): Promise<T> {
  const ms = (options.ms ?? 60_000) * slowness();
  const deadline = performance.now() + ms;
  let last: unknown;
  while (true) {
    const asked = performance.now();
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    const now = performance.now();
    if (now > deadline) {
      const span = (ms / 1000).toFixed(0);
      throw new Error(`Not within ${span} s: ${what}${last === undefined ? "" : `; last: ${last}`}`);
    }
    const pauseMs = options.everyMs ?? Math.min(MOST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, 3 * (now - asked)));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Waits. For spans that are part of a scenario; to wait for something, use until(). */
export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Fails a promise that takes too long. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It took longer than ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
