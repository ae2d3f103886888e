import assert from "node:assert/strict";
import { LOG_EVENTS } from "../../mod/core/log_events.ts";
import { COMMANDS } from "../../mod/cli/commands.ts";
import { assertSnapshot, meshnet } from "./run_meshnet.ts";

Deno.test("meshnet help lists the commands", async () => {
  const { code, stdout, stderr } = await meshnet(["help"]);
  assert.deepEqual([code, stderr], [0, ""]);
  await assertSnapshot("help", stdout);
});

for (const command of COMMANDS) {
  Deno.test(`meshnet help ${command.name} explains it, as does --help`, async () => {
    const words = command.name.split(" ");
    const [help, flag] = await Promise.all([meshnet(["help", ...words]), meshnet([...words, "--help"])]);
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    assert.deepEqual(flag, help);
    await assertSnapshot(`help-${words.join("-")}`, help.stdout);
  });
}

Deno.test("meshnet help GROUP lists its commands, as does the group alone", async () => {
  const groups = COMMANDS.map(({ name }) => name.split(" ")).filter((words) => words.length === 2);
  const words = new Set(groups.map(([first]) => first!));
  words.delete("config"); // `help config` is the reference of the file
  for (const group of words) {
    const [help, alone] = await Promise.all([meshnet(["help", group]), meshnet([group])]);
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    assert.deepEqual([alone.code, alone.stdout, alone.stderr], [2, "", help.stdout]);
    await assertSnapshot(`help-${group}`, help.stdout);
  }
});

Deno.test("meshnet help config is a configuration file that changes nothing", async () => {
  const { code, stdout } = await meshnet(["help", "config"]);
  assert.equal(code, 0);
  await assertSnapshot("help-config", stdout);
});

Deno.test("meshnet help log lists every event of the log, none wider than a terminal", async () => {
  const { code, stdout } = await meshnet(["help", "log"]);
  assert.equal(code, 0);
  const lines = stdout.split("\n");
  for (const event of Object.values(LOG_EVENTS).flatMap((events) => Object.keys(events))) {
    assert.ok(lines.includes(`  ${event}`), event);
  }
  assert.deepEqual(lines.filter((line) => line.length > 80), []);
});
