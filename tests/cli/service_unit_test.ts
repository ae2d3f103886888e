import assert from "node:assert/strict";
import { meshnet, withFolder } from "./run_meshnet.ts";

const ANALYZE = "/usr/bin/systemd-analyze";

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

Deno.test("meshnet service unit starts the given executable", async () => {
  const { code, stdout } = await meshnet(["service", "unit", "--exec", "/opt/meshnet"]);
  assert.equal(code, 0);
  assert.match(stdout, /^ExecStart=\/opt\/meshnet up$/m);
  assert.match(stdout, /^Type=notify$/m);
  const itself = await meshnet(["service", "unit"]);
  assert.match(itself.stdout, /^ExecStart=\/\S+ up$/m);
});

Deno.test({
  name: "meshnet service unit is accepted by systemd-analyze verify",
  ignore: !exists(ANALYZE),
  fn: () =>
    withFolder(async (folder) => {
      const { stdout } = await meshnet(["service", "unit", "--exec", "/bin/true"]);
      const path = `${folder}/meshnet.service`;
      await Deno.writeTextFile(path, stdout);
      const verify = await new Deno.Command(ANALYZE, { args: ["verify", path] }).output();
      assert.deepEqual([verify.code, new TextDecoder().decode(verify.stderr)], [0, ""]);
    }),
});
