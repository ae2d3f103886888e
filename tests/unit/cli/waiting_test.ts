import assert from "node:assert/strict";
import { main } from "../../../mod/cli/app.ts";
import { fakeIo } from "./fake_io.ts";

const ANSWER = { name: "02:00:00:00:00:01", peers: [], connections: [], targetStates: [], problems: [] };

Deno.test("wait hears what is missing from a daemon that answers late, however short the wait", async () => {
  const runDir = Deno.makeTempDirSync();
  await using _server = Deno.serve({ path: `${runDir}/control.sock`, onListen: () => {} }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return Response.json(ANSWER, { headers: { connection: "close" } });
  });
  try {
    const io = fakeIo();
    const code = await main(["wait", "--peers", "1", "--timeout", "0.2", "--run-dir", runDir], io);
    assert.deepEqual([code, io.stderr().split("\n")[0]], [
      4,
      "meshnet: Not within 0.2 s: 0 of 1 other hosts are reached",
    ]);
  } finally {
    Deno.removeSync(runDir, { recursive: true });
  }
});
