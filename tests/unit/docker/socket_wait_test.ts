import assert from "node:assert/strict";
import { whyUnreachable } from "../../../mod/docker/engine_shell.ts";
import { untilReachable } from "../../../mod/docker/socket_wait_shell.ts";

/** All tries after a change are over by then: only another change leads to another one. */
const SETTLED_MS = 2_600;

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("untilReachable() is told of a socket in folders that come, go and come again", async () => {
  const root = Deno.makeTempDirSync();
  const folder = `${root}/a/b`;
  const path = `${folder}/engine.sock`;
  const abort = new AbortController();
  const reasons: string[] = [];
  let tries = 0;
  const reached = untilReachable(path, {
    signal: abort.signal,
    tryIt: () => {
      tries++;
      return whyUnreachable(path);
    },
    absent: (reason) => void reasons.push(reason),
    faults: { guard: (_, work) => work },
  });
  const isTriedAfter = async (what: string, act: () => void) => {
    await after(SETTLED_MS);
    const before = tries;
    await after(200);
    assert.equal(tries, before, "nothing polls");
    act();
    const end = performance.now() + 20_000;
    for (; tries === before; await after(10)) assert.ok(performance.now() < end, `nobody noticed ${what}`);
  };
  try {
    await isTriedAfter("the folders", () => Deno.mkdirSync(folder, { recursive: true }));
    await isTriedAfter("that they have gone", () => Deno.removeSync(`${root}/a`, { recursive: true }));
    await isTriedAfter("that they are back", () => Deno.mkdirSync(folder, { recursive: true }));
    let listener: Deno.Listener | undefined;
    await isTriedAfter("the socket", () => listener = Deno.listen({ transport: "unix", path }));
    await reached;
    listener!.close();
    assert.deepEqual(reasons, ["there is no such socket"]);
  } finally {
    abort.abort(new Error("the test is over"));
    await reached.catch(() => {});
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("untilReachable() throws the signal's reason, while it waits and when it has none to wait for", async () => {
  const folder = Deno.makeTempDirSync();
  const abort = new AbortController();
  const wait = () =>
    untilReachable(`${folder}/engine.sock`, {
      signal: abort.signal,
      tryIt: () => Promise.resolve("nobody listens"),
      absent: () => {},
      faults: { guard: (_, work) => work },
    });
  try {
    const waiting = assert.rejects(wait(), /the daemon stops/);
    await after(50);
    abort.abort(new Error("the daemon stops"));
    await waiting;
    await assert.rejects(wait(), /the daemon stops/);
  } finally {
    Deno.removeSync(folder);
  }
});
