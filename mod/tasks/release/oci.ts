/** Container images as bytes, made without a registry or an engine: equal arguments give equal bytes. */
import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { sha256 } from "../payload.ts";
import { TAR_END, type TarEntry, tarEntry } from "../tar.ts";

/** What an image is made of. */
export interface ImageOptions {
  /** Name and tag under which engines list it. */
  readonly tag: string;
  /** As images call it. */
  readonly architecture: string;
  /** Compressed archives of files, from the lowest up. */
  readonly layers: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970. */
  readonly time: number;
}

interface Blob {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly digest: string;
}

/** An archive with the image: an OCI layout, which also has the list that `docker load` of older engines asks for. */
export function imageArchive(options: ImageOptions): Uint8Array {
  const layers = options.layers.map(({ bytes }) =>
    blob("application/vnd.oci.image.layer.v1.tar+gzip", bytes)
  );
  const config = jsonBlob("application/vnd.oci.image.config.v1+json", imageConfig(options));
  const manifest = jsonBlob("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor(config),
    layers: layers.map(descriptor),
  });
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{
      ...descriptor(manifest),
      platform: { os: "linux", architecture: options.architecture },
      annotations: {
        "io.containerd.image.name": `docker.io/library/${options.tag}`,
        "org.opencontainers.image.ref.name": options.tag.split(":")[1],
      },
    }],
  };
  const docker = [{ Config: pathOf(config), RepoTags: [options.tag], Layers: layers.map(pathOf) }];
  const files: TarEntry[] = [
    { kind: "folder", path: "blobs" },
    { kind: "folder", path: "blobs/sha256" },
    ...[config, manifest, ...layers].map((one) => file(pathOf(one), one.bytes)),
    file("index.json", json(index)),
    file("manifest.json", json(docker)),
    file("oci-layout", json({ imageLayoutVersion: "1.0.0" })),
  ];
  return Buffer.concat([...files.flatMap((entry) => tarEntry({ ...entry, time: options.time })), TAR_END]);
}

function imageConfig({ architecture, layers, entrypoint, command, labels, time }: ImageOptions): unknown {
  const created = new Date(time * 1000).toISOString();
  return {
    created,
    architecture,
    os: "linux",
    config: {
      Env: ["PATH=/usr/bin"],
      Entrypoint: entrypoint,
      Cmd: command,
      WorkingDir: "/",
      StopSignal: "SIGTERM",
      Labels: labels,
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ bytes }) => `sha256:${sha256(gunzipSync(bytes))}`) },
    history: layers.map(({ name }) => ({ created, created_by: name })),
  };
}

function blob(mediaType: string, bytes: Uint8Array): Blob {
  return { mediaType, bytes, digest: sha256(bytes) };
}

function jsonBlob(mediaType: string, value: unknown): Blob {
  return blob(mediaType, json(value));
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value, undefined, 2) + "\n");
}

function descriptor({ mediaType, bytes, digest }: Blob): Readonly<Record<string, unknown>> {
  return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
}

function pathOf({ digest }: Blob): string {
  return `blobs/sha256/${digest}`;
}

function file(path: string, bytes: Uint8Array): TarEntry {
  return { kind: "file", path, bytes };
}
