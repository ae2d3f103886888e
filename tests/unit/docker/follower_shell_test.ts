/** Following a small engine over a real socket: it is not there, comes, goes and comes back. */
import assert from "node:assert/strict";
import { Faults } from "../../../mod/core/faults.ts";
import type { LogFields } from "../../../mod/core/ports.ts";
import { EngineFollower } from "../../../mod/docker/follower_shell.ts";
import { SocketEngine, whyUnreachable } from "../../../mod/docker/engine_shell.ts";
import { untilReachable } from "../../../mod/docker/socket_wait_shell.ts";
import { SystemClock } from "../../../mod/sys/clock.ts";
import { seededRandom } from "../properties.ts";

/** However busy the machine is. */
const PATIENCE_MS = 60_000;
const ID = "4f5e9a6b2c1d".padEnd(64, "0");

/** An engine with one container, which speaks as Docker does: a stream of events in chunks. */
class SmallEngine {
  pid: number | undefined = 4711;
  readonly paths: string[] = [];
  /** What it answers to those who ask for a container waits for this. */
  held: Promise<void> = Promise.resolve();
  readonly #server: Deno.HttpServer;
  readonly #streams = new Set<ReadableStreamDefaultController<Uint8Array>>();

  constructor(socket: string, readonly odd?: (path: string) => Response | undefined) {
    this.#server = Deno.serve({ path: socket, onListen: () => {} }, async ({ url }) => {
      if (/containers\/[^?]*\/json/.test(url)) await this.held;
      return this.#answer(url);
    });
  }

  #answer(url: string): Response {
    const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
    this.paths.push(path.replace(/\?.*/, ""));
    const odd = this.odd?.(path);
    if (odd !== undefined) return odd;
    if (path === "/version") {
      return Response.json({ Version: "20.10", ApiVersion: "1.41", MinAPIVersion: "1.12" });
    }
    if (path.startsWith("/v1.41/events")) {
      let mine: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => void this.#streams.add(mine = controller),
        cancel: () => void this.#streams.delete(mine),
      });
      return new Response(body);
    }
    const labels = { "meshnet.attach": "true" };
    if (path === "/v1.41/containers/json?all=1") {
      const state = this.pid === undefined ? "exited" : "running";
      return Response.json([{ Id: ID, Names: ["/web"], State: state, Labels: labels }]);
    }
    if ([`/v1.41/containers/${ID}/json`, "/v1.41/containers/web/json"].includes(path)) {
      const state = { Running: this.pid !== undefined, Pid: this.pid ?? 0 };
      return Response.json({ Id: ID, Name: "/web", State: state, Config: { Labels: labels } });
    }
    return new Response('{"message":"no such container"}', { status: 404 });
  }

  tell(action: string): void {
    const event = {
      Type: "container",
      Action: action,
      Actor: { ID, Attributes: { "meshnet.attach": "true" } },
    };
    const line = new TextEncoder().encode(`${JSON.stringify(event)}\n`);
    for (const stream of this.#streams) {
      for (const half of [line.slice(0, 9), line.slice(9)]) stream.enqueue(half);
    }
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.close();
    await this.#server.shutdown();
  }
}

/** Waits for something that takes milliseconds; fails where it does not come. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    assert(performance.now() < deadline, `Not within ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A follower of the engine at a socket, and what it said. */
function follow(socket: string) {
  const logged: string[] = [];
  const log = (event: string, fields: LogFields = {}) =>
    void logged.push(`${event}: ${fields.reason ?? fields.api}`);
  const logger = { debug: log, info: log, warn: log, error: log };
  const clock = new SystemClock();
  const faults = new Faults({ logger, clock });
  let wake = () => {};
  const called: string[] = [];
  const call = (what: string) => {
    called.push(what);
    wake();
  };
  const follower = new EngineFollower({
    ...{ socket, clock, logger, faults, random: seededRandom(1), lookMs: { delayed: 5, alive: 10 } },
    open: () => new SocketEngine(socket),
    untilReachable: (signal, absent) =>
      untilReachable(socket, {
        signal,
        faults,
        tryIt: () => whyUnreachable(socket),
        absent: (reason) => {
          absent(reason);
          call("absent");
        },
      }),
    processMark: (pid) => `mark of ${pid}`,
    isAttached: () => false,
    ours: { isDriver: () => false, isEndpoint: () => false },
    found: () => Promise.resolve(),
    changed: () => call("changed"),
    synced: () => call("synced"),
  });
  const next = async (what: string) => {
    while (called.shift() !== what) {
      if (called.length > 0) continue;
      await new Promise<void>((resolve) => wake = resolve);
    }
  };
  return { follower, logged, next };
}

Deno.test("EngineFollower follows an engine that comes, goes and comes back", async () => {
  const folder = Deno.makeTempDirSync();
  const socket = `${folder}/later/engine.sock`;
  const { follower, logged, next } = follow(socket);
  try {
    follower.start();
    await next("absent");
    assert.deepEqual(logged, ["no container engine: there is no such socket"]);
    assert.deepEqual(follower.standing(ID), { kind: "unknown", name: undefined });
    await assert.rejects(
      follower.resolve("web"),
      /no container engine answers on .* \(there is no such socket\)/,
    );

    Deno.mkdirSync(`${folder}/later`);
    const engine = new SmallEngine(socket);
    await next("synced");
    assert.deepEqual(follower.standing(ID), { kind: "running", pid: 4711, name: "web" });
    assert.equal(await follower.resolve("web"), ID);
    assert.equal(await follower.resolve("db"), undefined);
    assert.equal(await follower.resolve("../version"), undefined);

    engine.pid = undefined;
    engine.tell("die");
    await next("changed"); // of resolve()
    while (follower.standing(ID).kind !== "stopped") await next("changed");

    await engine.stop();
    await next("absent");
    assert.deepEqual(follower.standing(ID), { kind: "unknown", name: "web" }); // it may run again meanwhile
    const again = new SmallEngine(socket);
    again.pid = 4712;
    await next("synced");
    assert.deepEqual(follower.standing(ID), { kind: "running", pid: 4712, name: "web" });
    follower[Symbol.dispose]();
    await again.stop();
    assert.deepEqual(logged.filter((line) => !line.startsWith("no container engine: n")), [
      "no container engine: there is no such socket",
      "container engine: 1.41",
      "container engine lost: it has closed the connection",
      ...logged.filter((line) => line.startsWith("no container engine: t")).slice(1),
      "container engine: 1.41",
    ]);
  } finally {
    follower[Symbol.dispose]();
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("SocketEngine says what is wrong with an answer", async () => {
  const folder = Deno.makeTempDirSync();
  const socket = `${folder}/engine.sock`;
  const answers: Record<string, () => Response> = {
    "/networks/mesh": () => Response.json({ Name: "mesh", Driver: "bridge" }),
    "/networks/create": () => new Response('{"message":"no such driver"}', { status: 404 }),
    "/networks/fine": () => new Response("{}", { status: 404 }),
    "/version": () => Response.json({ ApiVersion: "1.10" }),
    "/containers/json": () => new Response("[{", { headers: { "content-type": "application/json" } }),
    "/containers/long/json": () => new Response("x".repeat(5 * 1024 * 1024)),
    "/containers/two/json": () => new Response('{"message":"multiple IDs found"}', { status: 500 }),
    "/containers/moved/json": () => new Response(null, { status: 301, headers: { location: "/version" } }),
    "/events": () => new Response("{}", { status: 503 }),
  };
  const server = new SmallEngine(socket, (path) => answers[path.replace(/\?.*/, "")]?.());
  const { signal } = new AbortController();
  try {
    using engine = new SocketEngine(socket);
    await assert.rejects(engine.open(signal), /its API is 1\.10, 1\.24 is needed/);
    await assert.rejects(engine.containers(signal), /the answer is not JSON/);
    await assert.rejects(engine.container("long", signal), /longer than 4194304 bytes/);
    await assert.rejects(engine.container("two", signal), /status is 500, .*multiple IDs found/);
    await assert.rejects(engine.container("moved", signal));
    const network = { driver: "meshnet", subnet: "10.32.0.0/12" };
    assert.equal(await engine.ensureNetwork({ ...network, name: "mesh" }, signal), "bridge");
    await assert.rejects(engine.ensureNetwork({ ...network, name: "fine" }, signal), /no such driver/);
    await assert.rejects(engine.events(signal), /answer of \/events cannot be used: status is 503/);
  } finally {
    await server.stop();
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("EngineFollower waits for what the engine says of a container, and leaves one that says nothing else either", async () => {
  const folder = Deno.makeTempDirSync();
  const socket = `${folder}/engine.sock`;
  let isSilent = false;
  const silent = (path: string) =>
    isSilent && path === "/v1.41/version" ? new Response("", { status: 500 }) : undefined;
  const engine = new SmallEngine(socket, silent);
  const { follower, logged, next } = follow(socket);
  try {
    const held = Promise.withResolvers<void>();
    engine.held = held.promise;
    follower.start();
    await until("it is asked whether it answers at all, again and again", () => {
      return engine.paths.filter((path) => path === "/v1.41/version").length >= 4;
    });
    assert.deepEqual(follower.standing(ID), { kind: "unknown", name: undefined });
    held.resolve();
    await next("synced");
    assert.deepEqual(follower.standing(ID), { kind: "running", pid: 4711, name: "web" });
    assert.deepEqual(logged, ["container engine: 1.41"]);

    const again = Promise.withResolvers<void>();
    engine.held = again.promise;
    isSilent = true;
    engine.tell("die");
    await until("it is left", () => logged.length >= 2);
    assert.match(logged[1]!, /^container engine lost: .*status is 500/);
    again.resolve();
  } finally {
    follower[Symbol.dispose]();
    await engine.stop();
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("SocketEngine.busy() says which containers are not answered, though others' answers are late", async () => {
  const folder = Deno.makeTempDirSync();
  const socket = `${folder}/engine.sock`;
  const [late, started, also, other] = [..."abcd"].map((one) => one.repeat(64)) as [
    string,
    string,
    string,
    string,
  ];
  const { promise: never, resolve: end } = Promise.withResolvers<void>();
  const enough = Promise.withResolvers<void>();
  let controls = 0;
  let after = (_: number) => {};
  const server = Deno.serve({ path: socket, onListen: () => {} }, async ({ url }) => {
    if (url.includes(started) || url.includes(also)) await never;
    else if (url.includes(late)) await enough.promise;
    else if (!url.includes(other)) after(++controls);
    return new Response('{"message":"no such container"}', { status: 404 });
  });
  const { signal } = new AbortController();
  try {
    using engine = new SocketEngine(socket);
    after = (count) => count === 20 && enough.resolve();
    assert.deepEqual(await engine.busy([late, started, other], signal), new Set([started]));
    const asked = controls;
    assert.deepEqual(await engine.busy([late, other], signal), new Set());
    assert(controls - asked <= 12, `${controls - asked} more questions`);

    const begun = controls;
    const ending = new AbortController();
    after = (count) => count === begun + 20 && ending.abort();
    const both = new Set([started, also]);
    assert.deepEqual(await engine.busy([...both], ending.signal), both, "twenty answers are enough");
    assert.equal(controls, begun + 20);
    const few = new AbortController();
    after = (count) => count === begun + 25 && few.abort();
    await assert.rejects(engine.busy([...both], few.signal));
  } finally {
    end();
    await server.shutdown();
    Deno.removeSync(folder, { recursive: true });
  }
});
