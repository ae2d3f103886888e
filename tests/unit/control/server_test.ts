import assert from "node:assert/strict";
import type { StatusReport } from "../../../mod/control/api_types.ts";
import { callDaemon, parseAnswer } from "../../../mod/control/client.ts";
import type { ControlApi } from "../../../mod/control/routes.ts";
import { startControlServer } from "../../../mod/control/server.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import { EXAMPLE } from "./example_status.ts";

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const refuse = () => {
  throw new MeshnetError("attach/no-address", "No address", { hint: "Give one" });
};
const api: ControlApi = {
  status: () => EXAMPLE,
  report: refuse,
  daemon: refuse,
  docker: refuse,
  ...{ doctor: refuse, path: refuse, check: refuse },
  connect: refuse,
  forget: refuse,
  attach: refuse,
  detach: () => new Promise(() => {}),
  ...{ holders: refuse, allocate: refuse, claim: refuse, release: refuse, prime: refuse },
  ...{ history: () => [], names: refuse, addName: refuse, removeName: refuse, lookUpName: refuse },
  ...{ removePeers: refuse, leave: refuse, exportAddresses: refuse, importAddresses: refuse },
  ...{ expose: refuse, hide: refuse },
  stop: () => ({ pid: 42, peersThroughDaemon: 0, answeredNames: false }),
};

async function withRunDir(test: (runDir: string) => Promise<void>): Promise<void> {
  const runDir = await Deno.makeTempDir();
  try {
    await test(runDir);
  } finally {
    await Deno.remove(runDir, { recursive: true });
  }
}

/** Ample: a machine may be busy. */
const PATIENCE_MS = 60_000;
const get = { method: "GET", path: "/status" } as const;

Deno.test("callDaemon() gets the answers and errors of startControlServer()", () =>
  withRunDir(async (runDir) => {
    await using _server = await startControlServer(api, { runDir, logger });
    const options = { runDir, timeoutMs: PATIENCE_MS };
    assert.deepEqual(await callDaemon<StatusReport>(get, options), EXAMPLE);
    const attach = { method: "POST", path: "/attach", body: { target: "netns:ü" } } as const;
    await assert.rejects(callDaemon(attach, options), (error: MeshnetError) => {
      assert.deepEqual([error.code, error.message, error.hint], [
        "attach/no-address",
        "No address",
        "Give one",
      ]);
      return true;
    });
  }));

Deno.test("callDaemon() gives up after its time", () =>
  withRunDir(async (runDir) => {
    await using _server = await startControlServer(api, { runDir, logger });
    const detach = { method: "POST", path: "/detach", body: { target: "x" } } as const;
    await assert.rejects(callDaemon(detach, { runDir, timeoutMs: 50 }), /did not answer within 0.05 s/);
  }));

Deno.test("startControlServer() opens the socket to owner and group only", () =>
  withRunDir(async (runDir) => {
    await using _server = await startControlServer(api, { runDir, logger });
    const { mode } = await Deno.stat(`${runDir}/control.sock`);
    assert.equal((mode ?? 0) & 0o777, 0o660);
  }));

Deno.test("startControlServer() refuses where another one answers", () =>
  withRunDir(async (runDir) => {
    await using _server = await startControlServer(api, { runDir, logger });
    await assert.rejects(startControlServer(api, { runDir, logger }), { code: "up/already-running" });
    assert.deepEqual(await callDaemon(get, { runDir, timeoutMs: PATIENCE_MS }), EXAMPLE);
  }));

Deno.test("startControlServer() replaces a socket that a dead daemon left", () =>
  withRunDir(async (runDir) => {
    Deno.listen({ transport: "unix", path: `${runDir}/control.sock` }).close();
    await Deno.writeTextFile(`${runDir}/other`, ""); // neighbours stay
    const left = Deno.listen({ transport: "unix", path: `${runDir}/stale.sock` });
    await Deno.rename(`${runDir}/stale.sock`, `${runDir}/control.sock`).catch(() => {});
    left.close(); // closing removes the first path only, so control.sock is stale now
    await using _server = await startControlServer(api, { runDir, logger });
    assert.deepEqual(await callDaemon(get, { runDir, timeoutMs: PATIENCE_MS }), EXAMPLE);
    assert.equal(await Deno.readTextFile(`${runDir}/other`), "");
  }));

Deno.test("ControlServer.stopListening() lets the answer to /stop wait for the end", () =>
  withRunDir(async (runDir) => {
    const server = await startControlServer(api, { runDir, logger });
    const stop = callDaemon({ method: "POST", path: "/stop", body: {} }, { runDir, timeoutMs: PATIENCE_MS });
    await callDaemon(get, { runDir, timeoutMs: PATIENCE_MS }); // answered after /stop was taken
    server.stopListening();
    await assert.rejects(callDaemon(get, { runDir, timeoutMs: PATIENCE_MS }), {
      code: "control/not-running",
    });
    let ended = false;
    void stop.then(() => ended = true);
    await Promise.resolve();
    assert.equal(ended, false);
    await server[Symbol.asyncDispose]();
    assert.deepEqual(await stop, { pid: 42, peersThroughDaemon: 0, answeredNames: false });
  }));

/** Asks for the status until it is answered; fails after a minute. */
async function answeredAgain(runDir: string): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS;;) {
    try {
      assert.deepEqual(await callDaemon(get, { runDir, timeoutMs: PATIENCE_MS }), EXAMPLE);
      return;
    } catch (error) {
      if (performance.now() > end || (error as MeshnetError).code !== "control/not-running") throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

Deno.test("startControlServer() makes its socket again when it is removed, and its folder", () =>
  withRunDir(async (base) => {
    const runDir = `${base}/run`;
    await Deno.mkdir(runDir);
    await using _server = await startControlServer(api, { runDir, logger });
    for (let round = 0; round < 2; round++) {
      await Deno.remove(`${runDir}/control.sock`);
      await answeredAgain(runDir);
      await Deno.remove(runDir, { recursive: true });
      await answeredAgain(runDir);
    }
    assert.equal((await Deno.stat(`${runDir}/control.sock`)).mode! & 0o777, 0o660);
  }));

Deno.test("startControlServer() makes its socket again in place of a file, a link, a dead socket or an empty folder", () =>
  withRunDir(async (runDir) => {
    const path = `${runDir}/control.sock`;
    await using _server = await startControlServer(api, { runDir, logger });
    const puts: Readonly<Record<string, (at: string) => Promise<void> | void>> = {
      file: (at) => Deno.writeTextFile(at, "x"),
      link: (at) => Deno.symlink("/nowhere", at),
      folder: (at) => Deno.mkdir(at),
      "dead socket": async (at) => {
        const dead = Deno.listen({ transport: "unix", path: `${runDir}/dead` });
        await Deno.rename(`${runDir}/dead`, at);
        dead.close();
      },
    };
    for (const put of Object.values(puts)) {
      await Deno.remove(path);
      await put(path);
      await answeredAgain(runDir);
    }
    assert.deepEqual([...Deno.readDirSync(runDir)].map(({ name }) => name), ["control.sock"]);
  }));

Deno.test("startControlServer() leaves another program's socket alone, and comes back when that has gone", () =>
  withRunDir(async (runDir) => {
    const path = `${runDir}/control.sock`;
    const said = Promise.withResolvers<unknown>();
    const noting: Logger = { ...logger, error: (_event, fields) => said.resolve(fields?.["reason"]) };
    await using _server = await startControlServer(api, { runDir, logger: noting });
    const other = Deno.listen({ transport: "unix", path: `${runDir}/other` });
    await Deno.rename(`${runDir}/other`, path);
    assert.match(String(await said.promise), /another program listens there/);
    await assert.rejects(callDaemon(get, { runDir, timeoutMs: 50 }));
    other.close();
    await Deno.remove(path);
    await answeredAgain(runDir);
  }));

Deno.test("parseAnswer() joins chunks by bytes and refuses what is cut off", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  assert.deepEqual(parseAnswer(bytes(`${head}5\r\n{"a":\r\n5\r\n"ü"}\r\n0\r\n\r\n`)), { a: "ü" });
  assert.deepEqual(parseAnswer(bytes(`${head}7\r\n{"a":1}\r\n`)), { a: 1 });
  for (const text of ["", "HTTP/1.1 200", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nx", `${head}ff\r\nab`]) {
    assert.throws(() => parseAnswer(bytes(text)), { code: "control/request-failed" });
  }
});
