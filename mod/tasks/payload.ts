/** The self-extracting executable: a launcher script, then gzip members with Deno and the bundled program. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip as gzipWithCallback } from "node:zlib";
import { TAR_END, tarEntry } from "./tar.ts";

const gzip = promisify(gzipWithCallback);
const MIB = 1 << 20;

/** A file of the payload, by its path below the folder it is unpacked into. */
export interface PayloadFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Lower-case SHA-256 of some bytes, one after the other. */
export function sha256(...parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** A tar archive of files; equal files give equal bytes: no times, no owners, paths in order. */
export function tar(files: readonly PayloadFile[]): Uint8Array {
  const sorted = [...files].sort((a, b) => a.path < b.path ? -1 : 1);
  return Buffer.concat([...sorted.flatMap((file) => tarEntry({ ...file, kind: "file" })), TAR_END]);
}

/** Compresses bytes as a few gzip members that are unpacked side by side; each starts at a whole megabyte. */
export async function compressInPieces(
  bytes: Uint8Array,
  count: number,
): Promise<readonly { readonly megabyte: number; readonly bytes: Uint8Array }[]> {
  const step = Math.ceil(bytes.length / count / MIB);
  return await Promise.all(Array.from({ length: count }, async (_, i) => ({
    megabyte: i * step,
    bytes: await compress(bytes.subarray(i * step * MIB, (i + 1) * step * MIB)),
  })));
}

/** One gzip member without a time stamp. */
export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  return await gzip(bytes, { level: 9 });
}

/** Puts the executable together. `launcher` is the script with `@NAME@` where values go. */
export function joinPayload(options: {
  readonly launcher: string;
  /** The script that stands in it for `@RUNTIME@`. */
  readonly runtime: string;
  readonly version: string;
  readonly flags: readonly string[];
  /** The folder for everybody's copies, where only root can write. */
  readonly systemCache: string;
  readonly denoSize: number;
  readonly deno: readonly { readonly megabyte: number; readonly bytes: Uint8Array }[];
  readonly files: Uint8Array;
  /** What is in them. */
  readonly contents: readonly PayloadFile[];
}): Uint8Array {
  const { deno, files } = options;
  const id = sha256(
    ...deno.map((piece) => piece.bytes),
    files,
    Buffer.from(options.flags.join(" ") + options.launcher + options.runtime),
  );
  const renderAt = (offset: number): Buffer => {
    let at = offset + 1;
    const place = (bytes: Uint8Array): string => {
      at += bytes.length;
      return `${at - bytes.length} ${bytes.length}`;
    };
    const pieces = deno.map((p) => `${p.megabyte},${place(p.bytes).replace(" ", ",")}`);
    const values: Record<string, string> = {
      ID: `${options.version}-${id.slice(0, 32)}`,
      VERSION: options.version,
      FLAGS: options.flags.join(" "),
      PIECES: pieces.join(" "),
      FILES: place(files),
      SYSTEM_CACHE: options.systemCache,
      DENO_SIZE: String(options.denoSize),
      NAMES: ["meshnet", ...options.contents.map(({ path }) => path)].join(" "),
      STAMPS: [options.denoSize, ...options.contents.map(({ bytes }) => bytes.length)].map((size) =>
        `${size} 0`
      ).join("\n"),
    };
    return Buffer.from(render(options.launcher, { RUNTIME: options.runtime.trimEnd() }, values));
  };
  // The positions depend on the length of the script that holds them: repeat until it no longer changes.
  let script = renderAt(0);
  for (let length = -1; length !== script.length;) {
    length = script.length;
    script = renderAt(length);
  }
  return Buffer.concat([script, ...deno.map((piece) => piece.bytes), files]);
}

/** A script with values where it has `@NAME@`, one set of values after the other: those of the first may name others. */
export function render(script: string, ...sets: readonly Readonly<Record<string, string>>[]): string {
  const fill = (text: string, values: Readonly<Record<string, string>>, last: boolean) =>
    text.replace(/@([A-Z_]+)@/g, (name, key: string) => {
      const value = values[key];
      if (value === undefined && last) throw new RangeError(`Script names an unknown value: ${key}`);
      return value ?? name;
    });
  return sets.reduce((text, values, i) => fill(text, values, i === sets.length - 1), script);
}
