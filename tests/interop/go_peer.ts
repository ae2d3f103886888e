/** A peer of the original mesh library as a child process (tests/interop/peer), built from Debian's packages. */
import { TextLineStream } from "./lines.ts";

/** What the peer prints, one JSON object a line. */
export interface GoPeerEvent {
  readonly event: "ready" | "unicast" | "broadcast" | "gossip" | "status" | "error";
  readonly source?: string;
  readonly data?: string;
  readonly text?: string;
  /** Of a status: established connections by peer name. */
  readonly peers?: Readonly<Record<string, readonly string[]>>;
}

let built: Promise<string> | undefined;

/** Builds the peer once per test process and returns the executable's path. */
function build(): Promise<string> {
  built ??= (async () => {
    const source = new URL("./peer/", import.meta.url).pathname;
    const output = `${await Deno.makeTempDir({ prefix: "meshnet-interop-" })}/gopeer`;
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", output, "."],
      cwd: source,
      env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOFLAGS: "-p=2" },
    }).output();
    if (!success) throw new Error(`Cannot build the Go peer: ${new TextDecoder().decode(stderr)}`);
    return output;
  })();
  return built;
}

/** Removes what build() made. */
export async function removeBuild(): Promise<void> {
  if (built === undefined) return;
  const path = await built;
  built = undefined;
  await Deno.remove(path.slice(0, path.lastIndexOf("/")), { recursive: true });
}

/** A running peer; dispose it to end the process. */
export class GoPeer implements AsyncDisposable {
  readonly events: GoPeerEvent[] = [];
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #log = "";
  #waiting: (() => void)[] = [];

  private constructor(readonly child: Deno.ChildProcess) {
    this.#input = child.stdin.getWriter();
    this.#reading = Promise.all([this.#readEvents(), this.#readLog()]).then(() => {});
  }

  /** Starts a peer and waits until it listens. */
  static async start(options: {
    name: string;
    host: string;
    port: number;
    password?: string;
    overlays?: string;
    discovery?: boolean;
  }): Promise<GoPeer> {
    const args = [`-name=${options.name}`, `-host=${options.host}`, `-port=${options.port}`];
    if (options.password !== undefined) args.push(`-password=${options.password}`);
    if (options.overlays !== undefined) args.push(`-overlays=${options.overlays}`);
    if (options.discovery) args.push("-discovery");
    const command = new Deno.Command(await build(), {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    });
    const peer = new GoPeer(command.spawn());
    await peer.until((event) => event.event === "ready");
    return peer;
  }

  /** Sends one command. */
  async tell(command: { do: string; peer?: string; data?: string }): Promise<void> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(command) + "\n"));
  }

  /** The first event, past or to come, that satisfies `wanted`; fails after `timeoutMs` with what was seen. */
  async until(wanted: (event: GoPeerEvent) => boolean, timeoutMs = 10_000): Promise<GoPeerEvent> {
    const deadline = performance.now() + timeoutMs;
    while (true) {
      const found = this.events.find(wanted);
      if (found !== undefined) return found;
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`Waited in vain, saw ${JSON.stringify(this.events)}\n${this.#log}`);
      await this.#next(left);
    }
  }

  /** Asks for the status until it satisfies `wanted`. */
  async untilStatus(wanted: (event: GoPeerEvent) => boolean, timeoutMs = 10_000): Promise<GoPeerEvent> {
    const deadline = performance.now() + timeoutMs;
    while (true) {
      const from = this.events.length;
      await this.tell({ do: "status" });
      const status = await this.until((e) => e.event === "status" && this.events.indexOf(e) >= from);
      if (wanted(status)) return status;
      if (performance.now() > deadline) {
        throw new Error(`Status stayed ${JSON.stringify(status)}\n${this.#log}`);
      }
      await this.#next(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tell({ do: "stop" }).catch(() => {});
    await this.#input.close().catch(() => {});
    const ended = await Promise.race([this.child.status, delay(2_000)]);
    if (ended === undefined) this.child.kill("SIGKILL");
    await this.child.status;
    await this.#reading;
  }

  #next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#waiting.push(() => (clearTimeout(timer), resolve()));
    });
  }

  async #readEvents(): Promise<void> {
    const lines = this.child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.events.push(JSON.parse(line) as GoPeerEvent);
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  async #readLog(): Promise<void> {
    for await (const text of this.child.stderr.pipeThrough(new TextDecoderStream())) this.#log += text;
  }
}

function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms);
    Deno.unrefTimer(timer);
  });
}
