import assert from "node:assert/strict";
import { importsOf, programFiles, resolve } from "../../checks/tree.ts";

const byPath = new Map(programFiles.map((file) => [file.path, file]));

/** Every file that is loaded with these, before anything runs. */
function loadedWith(...paths: readonly string[]): ReadonlySet<string> {
  const loaded = new Set(paths);
  for (const path of loaded) { // a set grows while it is walked
    const file = byPath.get(path)!;
    for (const { lazy, specifier, typeOnly } of importsOf(file)) {
      const target = resolve(file, specifier);
      if (!lazy && !typeOnly && target !== undefined) loaded.add(target);
    }
  }
  return loaded;
}

Deno.test("meshnet status loads what shows an answer only when there is one", () => {
  const loaded = loadedWith("main.ts", "mod/cli/commands/status.ts");
  assert.ok(loaded.has("mod/control/client.ts"));
  const early = [...loaded].filter((path) => /status_pages|render_|older_answer|watching|health/.test(path));
  assert.deepEqual(early, []);
});

Deno.test("what is said of wrong command lines is loaded when one is wrong", () => {
  const commands = programFiles.map(({ path }) => path).filter((path) => /^mod\/cli\/commands\//.test(path));
  const loaded = loadedWith("main.ts", "mod/cli/parse.ts", ...commands);
  assert.ok(commands.length > 20);
  assert.deepEqual([...loaded].filter((path) => /mistakes|weave_words/.test(path)), []);
});
