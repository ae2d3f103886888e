/** Entries of tar archives (ustar) as bytes: equal entries give equal bytes. */
import { Buffer } from "node:buffer";

const BLOCK = 512;

/** One entry. Owner and group are root. */
export type TarEntry = TarPlace & TarContent;

interface TarPlace {
  readonly path: string;
  /** Rights; 0644 for files, 0755 for folders. */
  readonly mode?: number;
  /** Time of the last change, in seconds since 1970; 0 by default. */
  readonly time?: number;
}

type TarContent =
  | { readonly kind: "file"; readonly bytes: Uint8Array }
  | { readonly kind: "folder" }
  | { readonly kind: "link"; readonly target: string };

const KINDS = {
  file: { type: "0", mode: 0o644 },
  link: { type: "2", mode: 0o777 },
  folder: { type: "5", mode: 0o755 },
};

/** What ends an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);

/** The bytes of one entry, in parts: the header, the file's own bytes and what fills the last block. */
export function tarEntry(
  entry: TarEntry,
): readonly [header: Uint8Array, bytes: Uint8Array, rest: Uint8Array] {
  const path = entry.kind === "folder" ? `${entry.path}/` : entry.path;
  const target = entry.kind === "link" ? entry.target : "";
  for (const text of [path, target]) {
    if (Buffer.byteLength(text) > 100) throw new RangeError(`Path is too long for the archive: ${text}`);
  }
  const bytes = entry.kind === "file" ? entry.bytes : new Uint8Array();
  const { type, mode } = KINDS[entry.kind];
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    header.write(value.toString(8).padStart(width - 1, "0"), at, "latin1");
  header.write(path, 0);
  octal(entry.mode ?? mode, 100, 8);
  octal(0, 108, 8); // owner
  octal(0, 116, 8); // group
  octal(bytes.length, 124, 12);
  octal(entry.time ?? 0, 136, 12);
  header.write("        ", 148, "latin1"); // the checksum counts itself as spaces
  header.write(type, 156, "latin1");
  header.write(target, 157);
  header.write("ustar\x0000", 257, "latin1");
  octal(header.reduce((sum, byte) => sum + byte, 0), 148, 7);
  header[154] = 0;
  return [header, bytes, new Uint8Array(-bytes.length & BLOCK - 1)];
}
