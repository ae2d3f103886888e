import assert from "node:assert/strict";
import { command, hasProgram } from "../../mod/tasks/run.ts";
import { meshnet, withFolder } from "./run_meshnet.ts";

Deno.test("meshnet service unit starts the given executable", async () => {
  const { code, stdout } = await meshnet(["service", "unit", "--exec", "/opt/meshnet"]);
  assert.equal(code, 0);
  assert.match(stdout, /^ExecStart=\/opt\/meshnet up$/m);
  assert.match(stdout, /^Type=notify$/m);
  assert.match(stdout, /^CapabilityBoundingSet=.*CAP_NET_BIND_SERVICE/m); // names on port 53
  assert.match(stdout, /^SystemCallFilter=.*\bbpf\b/m); // the host's own leg is closed with it
  assert.match(stdout, /^ExecStartPre=.*mkdir -p -m 0755 \/etc\/netns$/m); // UMask=0077 counts there, too
  const itself = await meshnet(["service", "unit"]);
  assert.match(itself.stdout, /^ExecStart=\/\S+ up$/m);
});

Deno.test({
  name: "meshnet service unit is accepted by systemd-analyze verify",
  ignore: !hasProgram("systemd-analyze"),
  fn: () =>
    withFolder(async (folder) => {
      const { stdout } = await meshnet(["service", "unit", "--exec", "/bin/true"]);
      const path = `${folder}/meshnet.service`;
      await Deno.writeTextFile(path, stdout);
      const verify = await command(["systemd-analyze", "verify", path]).output();
      assert.deepEqual([verify.code, new TextDecoder().decode(verify.stderr)], [0, ""]);
    }),
});
