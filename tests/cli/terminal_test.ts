import assert from "node:assert/strict";
import { widthOf } from "../../mod/cli/columns.ts";
import { command, exists } from "../../mod/tasks/run.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { withDaemon } from "./fake_daemon.ts";
import { meshnet, meshnetCommand } from "./run_meshnet.ts";
import { Terminal } from "./terminal.ts";

const BASH = ["bash", "--norc", "--noprofile"];
const [CONNECTION, OTHER] = EXAMPLE.connections;
/** Starts a terminal, says its folder, and stays. */
const STARTER = `
import { Terminal } from "${new URL("terminal.ts", import.meta.url)}";
const { folder } = await Terminal.open(["sh"], { columns: 80 });
console.log(folder);
setInterval(() => {}, 1_000);
`;
/** Two hosts whose names are as wide as they are not long. */
const STATUS = {
  ...EXAMPLE,
  connections: [
    { ...OTHER!, nickname: "主機一" },
    { ...OTHER!, nickname: "🚀", address: "192.0.2.3:6783" },
    CONNECTION!,
  ],
};

/** Has `meshnet` be the program under test, and a shell find the daemon. */
async function environment(folder: string): Promise<Record<string, string>> {
  const line = meshnetCommand().map((word) => `'${word}'`).join(" ");
  await Deno.mkdir(`${folder}/bin`, { recursive: true });
  await Deno.writeTextFile(`${folder}/bin/meshnet`, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
  const env = {
    PATH: `${folder}/bin:/usr/bin:/bin`,
    MESHNET_RUN_DIR: folder,
    HOME: "/nonexistent",
    HISTFILE: "/dev/null",
    PS1: "$ ",
  };
  const cache = Deno.env.get("MESHNET_CACHE_DIR") ?? "";
  return cache === "" ? env : { ...env, MESHNET_CACHE_DIR: cache };
}

/** The terminal has not broken a line by itself: each fits. */
async function assertFits(terminal: Terminal): Promise<string> {
  const screen = await terminal.screen();
  assert.equal(await terminal.screen({ joined: true }), screen, "the terminal had to break a line");
  return screen;
}

Deno.test("in a terminal pages are as wide as it is, columns stand below each other, and colours can be off", () =>
  withDaemon(async (_, folder) => {
    const env = await environment(folder);
    await using terminal = await Terminal.open(BASH, { columns: 120, env });
    await terminal.run("meshnet status connections");
    const lines = (await assertFits(terminal)).split("\n");
    const columnOf = (line: string, text: string) => {
      assert.ok(line.includes(text), `${text} in ${line}`);
      return widthOf(line.slice(0, line.indexOf(text)));
    };
    const head = lines.find((line) => line.includes("STATE"))!;
    for (const host of ["192.0.2.2:6783", "192.0.2.3:6783"]) {
      const row = lines.find((line) => line.includes(host))!;
      assert.equal(columnOf(row, "established"), columnOf(head, "STATE"), row);
      assert.equal(columnOf(row, host === "192.0.2.2:6783" ? "主" : "🚀"), columnOf(head, "PEER"), row);
    }
    // deno-lint-ignore no-control-regex -- that is what is looked for
    assert.match(await terminal.screen({ painted: true }), /\x1b\[32mestablished/);
    for (const quiet of ["NO_COLOR=1", "TERM=dumb"]) {
      await terminal.run(`${quiet} meshnet status connections`);
      assert.ok(!(await terminal.screen({ painted: true })).includes("\x1b["), quiet);
    }
  }, STATUS));

Deno.test("in a narrow terminal status, help and lists fit and leave nothing out; COLUMNS says otherwise; a pipe gets lines as they are", () =>
  withDaemon(async (run, folder) => {
    const env = await environment(folder);
    await using terminal = await Terminal.open(BASH, { columns: 54, rows: 400, env });
    for (
      const words of [
        "status",
        "status connections",
        "status targets",
        "ps",
        "history",
        "dns list",
        "help",
        "help up",
        "help wait",
      ]
    ) {
      await terminal.run(`meshnet ${words}`);
      const screen = await assertFits(terminal);
      const { stdout } = await run(...words.split(" "));
      const rest = screen.replaceAll(/\s+/g, "").toLowerCase();
      // A cell of several lines stands in pieces, between those of others; an empty one has no line.
      for (const word of stdout.split(/\s+/).filter((word) => word !== "-")) {
        assert.ok(rest.includes(word.toLowerCase()), `${words}: ${word} is not in\n${screen}`);
      }
    }
    await terminal.run("COLUMNS=30 meshnet help wait");
    assert.ok(
      (await assertFits(terminal)).split("\n").every((line) => line.length <= 30 || line.startsWith("$")),
    );
    await terminal.run("COLUMNS=30 meshnet help wait | head -3");
    assert.equal(
      (await terminal.screen({ joined: true })).split("\n").slice(0, 3).join("\n"),
      (await meshnet(["help", "wait"])).stdout.split("\n").slice(0, 3).join("\n"),
    );
  }, STATUS));

Deno.test("a terminal ends with the process that started it, also where that is killed", async () => {
  const starter = command([Deno.execPath(), "eval", STARTER], { stdout: "piped", stderr: "null" }).spawn();
  const reader = starter.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const folder = (await reader.read()).value!.trim();
  const answers = async () => {
    const asked = ["tmux", "-S", `${folder}/socket`, "has-session"];
    return (await command(asked, { stdout: "null", stderr: "null" }).output()).success;
  };
  assert.ok(await answers());
  starter.kill("SIGKILL");
  await starter.status;
  await reader.cancel();
  for (const end = performance.now() + 20_000; exists(folder);) {
    assert.ok(performance.now() < end, `${folder} outlives who made it`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(!await answers());
});

/** How each shell is started, and told of the script. */
const SHELLS = {
  bash: { start: BASH, load: (script: string) => `source ${script}` },
  zsh: {
    start: ["zsh", "-f"],
    load: (script: string) => `autoload -U compinit && compinit -u -D && source ${script}`,
  },
  fish: { start: ["fish", "--no-config"], load: (script: string) => `source ${script}` },
} as const;

for (const [shell, { load, start }] of Object.entries(SHELLS)) {
  Deno.test(`Tab completes commands, options, values and what the daemon knows, in ${shell}`, () =>
    withDaemon(async (run, folder) => {
      const env = await environment(folder);
      const script = `${folder}/completions`;
      await Deno.writeTextFile(script, (await run("completions", shell)).stdout);
      await using terminal = await Terminal.open(start, { columns: 100, env });
      await terminal.run(load(script));
      const lines: readonly (readonly [typed: string, becomes: string])[] = [
        ["meshnet compl", "meshnet completions"],
        ["meshnet status conn", "meshnet status connections"],
        ["meshnet up --trusted", "meshnet up --trusted-subnets"],
        ["meshnet up --log-format te", "meshnet up --log-format text"],
        ["meshnet help lo", "meshnet help log"],
        ["meshnet check ho", "meshnet check host2"],
        ["meshnet wait --connected ho", "meshnet wait --connected host2"],
        ["meshnet ping we", "meshnet ping web"],
        ["meshnet trace ww", "meshnet trace www"],
        ["meshnet detach netns:w", "meshnet detach netns:web"],
        ["meshnet rmpeer h", "meshnet rmpeer host3"],
      ];
      for (const [typed, becomes] of lines) {
        await terminal.type(typed);
        await terminal.press("Tab");
        await terminal.shows(new RegExp(`${becomes}(?![a-z-])`));
        await terminal.press("C-c");
        await terminal.run("true");
      }
    }));
}
