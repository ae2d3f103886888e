/** Strangers that open connections without end: peers join all the same. */
import assert from "node:assert/strict";
import { note } from "../common/notes.ts";
import { Background, FOLDER, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const PORT = "6783";
const SCRIPT = new URL("../common/slow_stranger.ts", import.meta.url).pathname;

declareTests(suite({ name: "host kernel, slow strangers", open: () => hostWorld({ hosts: 3 }) }, {
  "a peer joins within seconds, though a stranger opens connections to both ends without end": async (
    world,
  ) => {
    const [one, two, stranger] = [world.host(1), world.host(2), world.host(3)];
    await one.up("--peers", two.address);
    const log = `${FOLDER}/${stranger.netns}/strangers`;
    // They stand back for everybody else: on a busy machine, the daemons would wait for a processor, not for strangers.
    const program = ["nice", "-n", "19", Deno.execPath(), "run", "-A", "--no-check", SCRIPT];
    const attack = (address: string) =>
      new Background([...program, address, PORT], log, { netns: stranger.netns });
    await using _first = attack(one.address);
    await using _second = attack(two.address);
    await until("more come than are let in", async () => {
      const { refused } = await one.status();
      return refused.some(({ address, reason }) =>
        address === stranger.address && reason.startsWith("too many")
      );
    });
    await two.up("--peers", one.address);
    const started = performance.now();
    await one.established(1, 15_000);
    await two.established(1, 15_000);
    note(`joined ${Math.round(performance.now() - started)} ms after the daemon answered`);
    const lines = Deno.readTextFileSync(one.log).split("\n").filter((line) =>
      line.includes("introduction-failed")
    );
    assert.ok(lines.length <= 20, `${lines.length} lines about strangers`);
  },
}));
