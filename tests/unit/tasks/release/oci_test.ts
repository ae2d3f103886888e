import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { gzipTar } from "../../../../mod/tasks/release/deb.ts";
import { imageArchive } from "../../../../mod/tasks/release/oci.ts";
import { capture, temporaryFolder } from "../../../../mod/tasks/run.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

Deno.test("imageArchive() is an OCI layout whose parts have the digests that name them, and what docker load asks for", async () => {
  const layer = await gzipTar([{ kind: "file", path: "./x", bytes: new TextEncoder().encode("content") }]);
  const make = () =>
    imageArchive({
      tag: "sample:1.2.3",
      architecture: "arm64",
      layers: [{ name: "all", bytes: layer }],
      entrypoint: ["/x"],
      command: ["up"],
      labels: { a: "b" },
      time: 1_764_000_000,
    });
  const bytes = make();
  assert.deepEqual(make(), bytes);
  using scratch = temporaryFolder();
  Deno.writeFileSync(`${scratch.path}/image.tar`, bytes);
  await capture(["tar", "-xf", "image.tar"], { cwd: scratch.path });
  const read = (path: string) => JSON.parse(Deno.readTextFileSync(`${scratch.path}/${path}`));
  const blob = ({ digest, size }: { digest: string; size: number }) => {
    const found = Deno.readFileSync(`${scratch.path}/blobs/${digest.replace(":", "/")}`);
    assert.deepEqual([`sha256:${sha256(found)}`, found.length], [digest, size]);
    return found;
  };
  assert.deepEqual(read("oci-layout"), { imageLayoutVersion: "1.0.0" });
  const [found] = read("index.json").manifests;
  assert.deepEqual(found.platform, { os: "linux", architecture: "arm64" });
  const manifest = JSON.parse(new TextDecoder().decode(blob(found)));
  const config = JSON.parse(new TextDecoder().decode(blob(manifest.config)));
  assert.equal(sha256(blob(manifest.layers[0])), sha256(layer));
  assert.deepEqual(config.rootfs.diff_ids, [`sha256:${sha256(gunzipSync(layer))}`]);
  assert.deepEqual([config.config.Entrypoint, config.config.Cmd], [["/x"], ["up"]]);
  assert.equal(config.created, new Date(1_764_000_000_000).toISOString());
  assert.deepEqual(read("manifest.json"), [{
    Config: `blobs/${manifest.config.digest.replace(":", "/")}`,
    RepoTags: ["sample:1.2.3"],
    Layers: [`blobs/${manifest.layers[0].digest.replace(":", "/")}`],
  }]);
});
