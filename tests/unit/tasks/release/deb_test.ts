import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { compress } from "../../../../mod/tasks/payload.ts";
import { controlText, deb, gzipTar, withFolders } from "../../../../mod/tasks/release/deb.ts";
import { capture, temporaryFolder } from "../../../../mod/tasks/run.ts";
import { type TarEntry, tarEntry } from "../../../../mod/tasks/tar.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const file = (path: string, text: string, mode?: number): TarEntry => ({
  kind: "file",
  path,
  bytes: encode(text),
  ...mode === undefined ? {} : { mode },
});

Deno.test("controlText() has paragraphs of a description as Debian wants them", () => {
  assert.equal(
    controlText({ Package: "x", Description: "one line\nmore\n\nand more" }),
    "Package: x\nDescription: one line\n more\n .\n and more\n",
  );
});

Deno.test("withFolders() puts each folder before what is in it, once", () => {
  const paths = withFolders([file("/usr/bin/b", ""), file("/usr/bin/a", ""), {
    kind: "folder",
    path: "/etc/x",
  }])
    .map((entry) => `${entry.kind} ${entry.path}`);
  assert.deepEqual(paths, [
    ...["folder .", "folder ./etc", "folder ./etc/x", "folder ./usr", "folder ./usr/bin"],
    ...["file ./usr/bin/a", "file ./usr/bin/b"],
  ]);
});

Deno.test("gzipTar() takes what is compressed already, and gives the same archive", async () => {
  const large = encode("0123456789".repeat(1000));
  const entries = [file("a", "first"), { kind: "file", path: "b", bytes: large } as const, file("c", "last")];
  const packed = new Map([[large, [
    await compress(large.subarray(0, 4000)),
    await compress(large.subarray(4000)),
  ]]]);
  const [with_, without] = [await gzipTar(entries, packed), await gzipTar(entries)];
  assert.deepEqual(gunzipSync(with_), gunzipSync(without));
});

Deno.test("tarEntry() refuses a path that does not fit, rather than cut it", () => {
  assert.throws(() => tarEntry({ kind: "folder", path: "x".repeat(100) }), /Path is too long/);
  assert.throws(() => tarEntry({ kind: "link", path: "x", target: "é".repeat(51) }), /Path is too long/);
});

Deno.test("deb() makes what dpkg reads and unpacks, the same bytes each time", async () => {
  const make = () =>
    deb({
      control: {
        Package: "sample",
        Version: "1.2.3",
        Architecture: "all",
        Maintainer: "x",
        Description: "y",
      },
      scripts: { postinst: "#!/bin/sh\nexit 0\n" },
      files: [
        file("/usr/bin/sample", "#!/bin/sh\n", 0o755),
        file("/etc/sample.conf", "odd"),
        { kind: "link", path: "/usr/bin/other", target: "sample" },
      ],
      time: 1_764_000_000,
    });
  const bytes = await make();
  assert.deepEqual(await make(), bytes);
  using scratch = temporaryFolder();
  const path = `${scratch.path}/sample.deb`;
  Deno.writeFileSync(path, bytes);
  assert.equal(
    await capture(["dpkg-deb", "-W", "--showformat=${Package} ${Version} ${Installed-Size}", path]),
    "sample 1.2.3 7",
  );
  assert.equal(await capture(["dpkg-deb", "-I", path, "postinst"]), "#!/bin/sh\nexit 0\n");
  await capture(["dpkg-deb", "-x", path, `${scratch.path}/unpacked`]);
  const { mode, mtime } = Deno.statSync(`${scratch.path}/unpacked/usr/bin/sample`);
  assert.deepEqual([mode! & 0o777, mtime!.getTime()], [0o755, 1_764_000_000_000]);
  assert.equal(Deno.readLinkSync(`${scratch.path}/unpacked/usr/bin/other`), "sample");
  assert.equal(Deno.readTextFileSync(`${scratch.path}/unpacked/etc/sample.conf`), "odd");
  await capture(["dpkg-deb", "-e", path, `${scratch.path}/control`]);
  // Paths in md5sums are those below the root.
  assert.match(
    Deno.readTextFileSync(`${scratch.path}/control/md5sums`),
    /^[0-9a-f]{32} {2}etc\/sample\.conf$/m,
  );
});
