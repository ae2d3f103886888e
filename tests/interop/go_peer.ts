/** Peers of the original mesh library, built from peer/main.go, as child processes. */
import assert from "node:assert/strict";
import { command } from "../../mod/tasks/run.ts";
import { TextLineStream } from "./lines.ts";

const SOURCE = new URL("./peer/main.go", import.meta.url).pathname;
/** Where Debian's golang-github-weaveworks-mesh-dev puts the library. */
const GOPATH = "/usr/share/gocode";
const LIBRARY = `${GOPATH}/src/github.com/weaveworks/mesh`;

/** One JSON line of a peer. */
export type GoEvent = Readonly<Record<string, unknown>> & { readonly event: string };

/** Why the peers cannot be built here, or undefined. */
export async function missing(): Promise<string | undefined> {
  try {
    await Deno.stat(LIBRARY);
    await command(["go", "version"], { stdout: "null" }).output();
    return undefined;
  } catch {
    return "needs the packages golang-go and golang-github-weaveworks-mesh-dev";
  }
}

let built: Promise<string> | undefined;

/** The peer's executable, built when first asked for and removed when the tests of this process are over. */
export function peerBinary(): Promise<string> {
  return built ??= buildPeer();
}

async function buildPeer(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "meshnet-interop-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const binary = `${folder}/peer`;
  const env = { GO111MODULE: "off", GOPATH, GOCACHE: `${folder}/cache`, GOFLAGS: "" };
  const result = await command(["go", "build", "-o", binary, SOURCE], { env }).output();
  assert.ok(result.success, new TextDecoder().decode(result.stderr));
  return binary;
}

/** A running peer; disposing it ends the process. */
export class GoPeer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #events: GoEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #reading: Promise<unknown>;
  /** What the library logged. */
  log = "";

  constructor(binary: string, options: Readonly<Record<string, string | number>>) {
    const args = Object.entries(options).map(([key, value]) => `--${key}=${value}`);
    this.#child = command([binary, ...args], { stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#reading = Promise.all([this.#readEvents(), this.#readLog()]);
  }

  /** Sends a command line. */
  async tell(command: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${command}\n`));
  }

  /** The first event, past or to come, that the condition holds for. */
  async event(what: string, holds: (event: GoEvent) => boolean): Promise<GoEvent> {
    const found = await within(`${what} of a Go peer`, this.#waiting, () => this.#events.find(holds));
    return found;
  }

  /** Events so far. */
  get events(): readonly GoEvent[] {
    return this.#events;
  }

  /** What mesh.NewStatus() says now. */
  async status(): Promise<GoStatus> {
    const before = this.#events.length;
    await this.tell("status");
    const found = await within(
      "status",
      this.#waiting,
      () => this.#events.slice(before).find((e) => e.event === "status"),
    );
    return found["status"] as GoStatus;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#input.abort().catch(() => {});
    await this.#reading;
    await this.#child.status;
  }

  async #readEvents(): Promise<void> {
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#events.push(JSON.parse(line));
      for (const wake of [...this.#waiting]) wake();
    }
  }

  async #readLog(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) this.log += text;
  }
}

/** The part of mesh.Status that the tests look at. */
export interface GoStatus {
  readonly Peers: readonly {
    readonly Name: string;
    readonly NickName: string;
    readonly Connections: readonly { readonly Name: string; readonly Established: boolean }[] | null;
  }[];
  readonly Connections: readonly { readonly State: string; readonly Info: string }[] | null;
}

/** Ample: a machine may be busy. */
export const DEADLINE = 60_000;

/** Waits until `probe` gives something; `wakers` holds what has to be called when it may. */
export function within<T>(what: string, wakers: Set<() => void>, probe: () => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const found = probe();
      if (found === undefined) return;
      done();
      resolve(found);
    };
    const timer = setTimeout(() => {
      done();
      reject(new Error(`waited ${DEADLINE} ms for ${what}`));
    }, DEADLINE);
    const done = () => {
      clearTimeout(timer);
      wakers.delete(look);
    };
    wakers.add(look);
    look();
  });
}
