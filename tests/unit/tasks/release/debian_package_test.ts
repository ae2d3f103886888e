import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { controlText } from "../../../../mod/tasks/release/deb.ts";
import { control, copyright, scripts, textFiles } from "../../../../mod/tasks/release/debian_package.ts";
import { packagedCommand } from "../../../../mod/tasks/release/program.ts";
import { command, programFolder, temporaryFolder } from "../../../../mod/tasks/run.ts";

Deno.test("control() names what the program needs of Debian", () => {
  const text = controlText(control("1.2.3", "arm64"));
  assert.match(text, /^Package: meshnet\nVersion: 1\.2\.3\nArchitecture: arm64\n/);
  assert.match(text, /^Depends: .*\blibnl-3-200, libsodium23\b/m);
  assert.match(text, /^Recommends: libssl3t64 \| libssl3$/m);
  assert.match(controlText(control("1.2.3", "amd64")), /^Recommends: .*, libipsec-mb1 \| libssl3t64$/m);
  assert.match(text, /^Description: one Ethernet.*\n( .+\n)+$/m);
});

Deno.test("textFiles() puts texts where Debian's programs look for them", () => {
  const texts = {
    manPages: [{ file: "meshnet-up.8", text: "up" }, { file: "meshnet.toml.5", text: "toml" }],
    unit: "unit",
    completions: { bash: "b", zsh: "z", fish: "f" },
    configuration: "# toml",
  };
  const files = textFiles(texts, "changes");
  const content = (path: string): string => {
    const entry = files.find((one) => one.path === path);
    assert.ok(entry?.kind === "file", path);
    return new TextDecoder().decode(path.endsWith(".gz") ? gunzipSync(entry.bytes) : entry.bytes);
  };
  assert.equal(content("/usr/share/man/man8/meshnet-up.8.gz"), "up");
  assert.equal(content("/usr/share/man/man5/meshnet.toml.5.gz"), "toml");
  assert.equal(content("/usr/lib/systemd/system/meshnet.service"), "unit");
  assert.equal(content("/usr/share/bash-completion/completions/meshnet"), "b");
  assert.equal(content("/usr/share/zsh/vendor-completions/_meshnet"), "z");
  assert.equal(content("/usr/share/fish/vendor_completions.d/meshnet.fish"), "f");
  assert.equal(content("/usr/share/doc/meshnet/examples/meshnet.toml"), "# toml");
  assert.match(copyright(), /^License: Apache-2\.0$/m);
});

Deno.test("the package's scripts are ones that sh reads", async () => {
  using scratch = temporaryFolder();
  for (const [name, text] of Object.entries({ ...scripts(), command: packagedCommand("1.2.3") })) {
    Deno.writeTextFileSync(`${scratch.path}/${name}`, text);
    const { code, stderr } = await command(["dash", "-n", `${scratch.path}/${name}`]).output();
    assert.equal(code, 0, `${name}: ${new TextDecoder().decode(stderr)}`);
    assert.ok(!/@[A-Z_]+@/.test(text), `${name} has a value that nobody filled in`);
  }
});

Deno.test("packagedCommand() starts the unpacked program, and keeps nothing where others can write", async () => {
  using scratch = temporaryFolder();
  const fake = '#!/bin/sh\necho "args:$*"\necho "kept:$DENO_DIR exe:$MESHNET_EXE"\n';
  Deno.writeTextFileSync(`${scratch.path}/meshnet`, fake, { mode: 0o755 });
  const text = packagedCommand("1.2.3").replaceAll("/usr/lib/meshnet", scratch.path);
  Deno.writeTextFileSync(`${scratch.path}/command`, text, { mode: 0o755 });
  const run = async (cache: string) => {
    const env = { PATH: programFolder("test"), MESHNET_CACHE_DIR: cache, HOME: `${scratch.path}/home` };
    const { stdout } = await command([`${scratch.path}/command`, "status", "two words"], {
      clearEnv: true,
      env,
    })
      .output();
    return new TextDecoder().decode(stdout).split("\n");
  };
  const [args, kept] = await run(scratch.path);
  assert.match(args!, /^args:run -A .* \S+\/main\.js status two words$/);
  assert.equal(kept, `kept:${scratch.path}/runtime exe:/usr/bin/meshnet`);
  const [, elsewhere] = await run(`${scratch.path}/absent`);
  assert.equal(elsewhere, `kept:${scratch.path}/home/.cache/meshnet/runtime exe:/usr/bin/meshnet`);
});
