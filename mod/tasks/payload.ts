/** The self-extracting executable: a launcher script, then gzip members with Deno and the bundled program. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip as gzipWithCallback } from "node:zlib";

const gzip = promisify(gzipWithCallback);
const MIB = 1 << 20;
const BLOCK = 512;

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

/** A tar archive (ustar) of files; equal files give equal bytes: no times, no owners, paths in order. */
export function tar(files: readonly PayloadFile[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const file of [...files].sort((a, b) => a.path < b.path ? -1 : 1)) {
    if (file.path.length > 100) throw new RangeError(`Path is too long for the archive: ${file.path}`);
    const header = Buffer.alloc(BLOCK);
    const octal = (value: number, at: number, width: number) =>
      header.write(value.toString(8).padStart(width - 1, "0"), at, "latin1");
    header.write(file.path, 0, "latin1");
    octal(0o644, 100, 8); // mode
    octal(0, 108, 8); // owner
    octal(0, 116, 8); // group
    octal(file.bytes.length, 124, 12);
    octal(0, 136, 12); // time of last change
    header.write("        ", 148, "latin1"); // the checksum counts itself as spaces
    header.write("0", 156, "latin1"); // a regular file
    header.write("ustar\x0000", 257, "latin1");
    octal(header.reduce((sum, byte) => sum + byte, 0), 148, 7);
    header[154] = 0;
    parts.push(header, file.bytes, new Uint8Array(-file.bytes.length & BLOCK - 1));
  }
  return Buffer.concat([...parts, new Uint8Array(2 * BLOCK)]);
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
    Buffer.from(options.flags.join(" ") + options.launcher),
  );
  const render = (offset: number): Buffer => {
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
      NAMES: ["deno", ...options.contents.map(({ path }) => path)].join(" "),
      STAMPS: [options.denoSize, ...options.contents.map(({ bytes }) => bytes.length)].map((size) =>
        `${size} 0`
      ).join("\n"),
    };
    return Buffer.from(options.launcher.replace(/@([A-Z_]+)@/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new RangeError(`Launcher names an unknown value: ${name}`);
      return value;
    }));
  };
  // The positions depend on the length of the script that holds them: repeat until it no longer changes.
  let script = render(0);
  for (let length = -1; length !== script.length;) {
    length = script.length;
    script = render(length);
  }
  return Buffer.concat([script, ...deno.map((piece) => piece.bytes), files]);
}
