import assert from "node:assert/strict";
import { place } from "../../../mod/tasks/install.ts";
import { root, temporaryFolder } from "../../../mod/tasks/run.ts";

/** A file as the build makes it; the launcher's own first lines, so that a change there is noticed here. */
function built(path: string, version: string): string {
  const launcher = Deno.readTextFileSync(`${root}/mod/tasks/launcher.sh`);
  Deno.writeTextFileSync(path, launcher.replaceAll("@VERSION@", version));
  return path;
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();

Deno.test("place() puts the command where nothing is, and leaves an equal one", () => {
  using folder = temporaryFolder();
  const file = built(`${folder.path}/built`, "1.0.0");
  const path = `${folder.path}/meshnet`;
  assert.equal(place(file, path), "new");
  assert.equal(Deno.readTextFileSync(path), Deno.readTextFileSync(file));
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o755);
  const before = Deno.statSync(path).ino;
  assert.equal(place(file, path), "unchanged");
  assert.equal(Deno.statSync(path).ino, before);
  assert.deepEqual(names(folder.path), ["built", "meshnet"]);
});

Deno.test("place() replaces another release of ours", () => {
  using folder = temporaryFolder();
  const path = built(`${folder.path}/meshnet`, "0.9.0");
  assert.equal(place(built(`${folder.path}/built`, "1.0.0"), path), "replaced");
  assert.match(Deno.readTextFileSync(path), /meshnet 1\.0\.0 in one file/);
});

Deno.test("place() leaves what is not ours: programs, scripts, links, folders, empty files", () => {
  using folder = temporaryFolder();
  const file = built(`${folder.path}/built`, "1.0.0");
  const path = `${folder.path}/meshnet`;
  const foreign: readonly (() => void)[] = [
    () => Deno.writeTextFileSync(path, "#!/bin/sh\n# meshnet is my own script\n"),
    () => Deno.writeFileSync(path, Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0, 0)),
    () => Deno.writeTextFileSync(path, ""),
    () => Deno.symlinkSync(file, path),
    () => Deno.symlinkSync(`${folder.path}/nowhere`, path),
    () => Deno.mkdirSync(path),
  ];
  for (const make of foreign) {
    make();
    const before = Deno.lstatSync(path);
    assert.equal(place(file, path), "foreign", make.toString());
    assert.equal(Deno.lstatSync(path).ino, before.ino);
    Deno.removeSync(path);
  }
  assert.deepEqual(names(folder.path), ["built"]);
});
