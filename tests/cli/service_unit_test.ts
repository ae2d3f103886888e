import assert from "node:assert/strict";
import { command, hasProgram } from "../../mod/tasks/run.ts";
import { meshnet, withFolder } from "./run_meshnet.ts";

Deno.test("meshnet service unit starts the given executable", async () => {
  const { code, stdout } = await meshnet(["service", "unit", "--exec", "/opt/meshnet"]);
  assert.equal(code, 0);
  assert.match(stdout, /^ExecStart=\/opt\/meshnet up$/m);
  assert.match(stdout, /^Type=notify$/m);
  assert.match(stdout, /^Restart=on-failure$/m);
  assert.match(stdout, /^Before=docker\.service$/m);
  assert.match(stdout, /^CapabilityBoundingSet=.*CAP_NET_BIND_SERVICE/m); // names on port 53
  assert.match(stdout, /^SystemCallFilter=.*\bbpf\b/m); // the host's own leg is closed with it
  assert.match(stdout, /^ExecStartPre=.*mkdir -p -m 0755 \/etc\/netns$/m); // UMask=0077 counts there, too
  assert.match(
    stdout,
    /^ExecStartPre=-\+\/bin\/sh -c "[^"\\]*'\{\\"Addr\\": \\"meshnet does not run[^"]*\\"\}'[^"]*"$/m,
  );
  assert.match(stdout, /^Documentation=man:meshnet\(8\)$/m);
  const itself = await meshnet(["service", "unit"]);
  assert.match(itself.stdout, /^ExecStart=\/\S+ up$/m);
});

Deno.test("meshnet service unit warns of a program that is not there, or that the unit cannot see", async () => {
  const warning = async (exec: string) => (await meshnet(["service", "unit", "--exec", exec])).stderr;
  assert.match(
    await warning("/opt/no/such/meshnet"),
    /^warning: \/opt\/no\/such\/meshnet does not exist: .*\n$/,
  );
  assert.match(
    await warning("/tmp/no-such/meshnet"),
    /does not exist.*\nwarning: .* has a \/tmp of its own; .*\n$/,
  );
  assert.match(await warning("/run/user/7/meshnet"), /does not see folders of users/);
  assert.equal(await warning("/bin/true"), "");
});

Deno.test({
  name: "meshnet service unit is exposed by 3.0 at most, says systemd-analyze security",
  ignore: !hasProgram("systemd-analyze"),
  fn: () =>
    withFolder(async (folder) => {
      const path = `${folder}/meshnet.service`;
      await Deno.writeTextFile(path, (await meshnet(["service", "unit", "--exec", "/bin/true"])).stdout);
      const { stdout } = await command(["systemd-analyze", "security", "--offline=yes", "--no-pager", path])
        .output();
      const [, exposure] =
        /Overall exposure level for .*: ([0-9.]+)/.exec(new TextDecoder().decode(stdout)) ?? [];
      assert.ok(Number(exposure) <= 3, `it is ${exposure}`);
    }),
});

Deno.test({
  name: "meshnet service unit is accepted by systemd-analyze verify",
  ignore: !hasProgram("systemd-analyze"),
  fn: () =>
    withFolder(async (folder) => {
      const { stdout } = await meshnet(["service", "unit", "--exec", "/bin/true"]);
      const path = `${folder}/meshnet.service`;
      await Deno.writeTextFile(path, stdout);
      const verify = await command(["systemd-analyze", "verify", "--man=no", path]).output();
      assert.deepEqual([verify.code, new TextDecoder().decode(verify.stderr)], [0, ""]);
    }),
});
