import assert from "node:assert/strict";
import { checkProgram, programsOf, type Purpose } from "../../../mod/tasks/packages.ts";
import { command, programFolder } from "../../../mod/tasks/run.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("checkProgram() lets pass what a purpose has on its list, and what is no program of the system", () => {
  const allowed: readonly (readonly [string, Purpose])[] = [
    ["sh", "up"],
    ["/bin/sh", "up"],
    ["ip", "lab"],
    ["/usr/sbin/ip", "test"],
    ["wg", "bench"],
    ["/opt/anything/dist/meshnet", "up"],
  ];
  for (const [program, purpose] of allowed) checkProgram(program, purpose);
});

Deno.test("checkProgram() refuses what is not on the list, and names the program and the file to add it to", () => {
  const refused: readonly (readonly [string, Purpose])[] = [
    ["conntrack", "test"],
    ["/usr/sbin/conntrack", "test"],
    ["/usr/local/bin/conntrack", "test"],
    ["ip", "up"],
    ["wg", "lab"],
  ];
  for (const [program, purpose] of refused) {
    const name = program.split("/").at(-1)!;
    assert.throws(() => checkProgram(program, purpose), {
      message: `Cannot start ${name}: it is not on the list of programs for "${purpose}". ` +
        "Add it with its Debian package to mod/tasks/packages.ts, or use a program that is there",
    });
  }
});

Deno.test("command() refuses before it starts anything", () => {
  assert.throws(() => command(["conntrack", "-L"]), /Cannot start conntrack: it is not on the list/);
});

Deno.test("command() hides from a shell what is not on the list", async () => {
  const line = 'command -v cat && ! command -v apt-get && echo "$PATH"';
  const { code, stdout } = await command(["sh", "-c", line]).output();
  const folder = programFolder("test");
  assert.deepEqual([code, text(stdout)], [0, `${folder}/cat\n${folder}\n`]);
});

Deno.test("programFolder() links what is installed of the list, and nothing else", () => {
  const names = [...Deno.readDirSync(programFolder("up"))].map((entry) => entry.name);
  assert.deepEqual(names.filter((name) => !programsOf("up").includes(name)), []);
  assert.ok(names.includes("sh") && names.includes("gzip"), names.join(" "));
});
