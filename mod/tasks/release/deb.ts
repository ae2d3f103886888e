/** Packages for Debian as bytes: equal arguments give equal bytes. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { compress } from "../payload.ts";
import { TAR_END, type TarEntry, tarEntry } from "../tar.ts";

/** The fields of a package's control file, in order. */
export type Control = Readonly<Record<string, string>>;

/** Gzip members that together give the bytes of one large file, so that these need not be compressed again. */
export type Packed = ReadonlyMap<Uint8Array, readonly Uint8Array[]>;

/** What a package is made of. */
export interface DebOptions {
  readonly control: Control;
  /** Scripts that dpkg runs, by name: `postinst`. */
  readonly scripts: Readonly<Record<string, string>>;
  /** Its files, by their paths from `/` on; the folders above them come by themselves. */
  readonly files: readonly TarEntry[];
  readonly packed?: Packed;
  /** Seconds since 1970: the time of everything in it. */
  readonly time: number;
}

/** The package. */
export async function deb({ control, scripts, files, packed, time }: DebOptions): Promise<Uint8Array> {
  const inner = withFolders(files).map((entry) => ({ ...entry, time }));
  const text = (path: string, content: string, mode: number): TarEntry => ({
    kind: "file",
    path,
    bytes: Buffer.from(content),
    mode,
    time,
  });
  const described = [
    { kind: "folder", path: ".", time } as const,
    text("./control", controlText({ ...control, "Installed-Size": String(installedSize(inner)) }), 0o644),
    text("./md5sums", md5sums(inner), 0o644),
    ...Object.entries(scripts).map(([name, content]) => text(`./${name}`, content, 0o755)),
  ];
  return ar([
    { name: "debian-binary", bytes: Buffer.from("2.0\n") },
    { name: "control.tar.gz", bytes: await gzipTar(described) },
    { name: "data.tar.gz", bytes: await gzipTar(inner, packed) },
  ], time);
}

/** A control file. A value of several lines is a description: its first line, then paragraphs. */
export function controlText(control: Control): string {
  return Object.entries(control).map(([name, value]) => {
    const [first, ...more] = value.split("\n");
    return [`${name}: ${first}`, ...more.map((line) => line === "" ? " ." : ` ${line}`)].join("\n") + "\n";
  }).join("");
}

/** A compressed archive. Of files in `packed` it takes what is compressed already. */
export async function gzipTar(entries: readonly TarEntry[], packed: Packed = new Map()): Promise<Uint8Array> {
  const members: Uint8Array[] = [];
  let plain: Uint8Array[] = [];
  const flush = async () => {
    if (plain.length > 0) members.push(await compress(Buffer.concat(plain)));
    plain = [];
  };
  for (const entry of entries) {
    const [header, bytes, rest] = tarEntry(entry);
    const ready = packed.get(bytes);
    plain.push(header);
    if (ready === undefined) plain.push(bytes);
    else {
      await flush();
      members.push(...ready);
    }
    plain.push(rest);
  }
  plain.push(TAR_END);
  await flush();
  return Buffer.concat(members);
}

/** Entries in order, below `./`, with all folders above them. */
export function withFolders(files: readonly TarEntry[]): readonly TarEntry[] {
  const all = new Map<string, TarEntry>([[".", { kind: "folder", path: "." }]]);
  for (const file of files) {
    const parts = file.path.split("/").filter((part) => part !== "");
    for (let depth = 1; depth < parts.length; depth++) {
      const path = `./${parts.slice(0, depth).join("/")}`;
      if (!all.has(path)) all.set(path, { kind: "folder", path });
    }
    const path = `./${parts.join("/")}`;
    all.set(path, { ...file, path });
  }
  return [...all.values()].sort((a, b) => a.path < b.path ? -1 : 1);
}

/** KiB, as dpkg estimates it: whole ones for each file, one for all else. */
function installedSize(entries: readonly TarEntry[]): number {
  const sizes = entries.map((entry) => entry.kind === "file" ? Math.ceil(entry.bytes.length / 1024) : 1);
  return sizes.reduce((sum, size) => sum + size, 0);
}

function md5sums(entries: readonly TarEntry[]): string {
  return entries.map((entry) => entry.kind === "file" ? `${md5(entry.bytes)}  ${entry.path.slice(2)}\n` : "")
    .join("");
}

/** An archive of the kind that `ar` makes. */
function ar(
  files: readonly { readonly name: string; readonly bytes: Uint8Array }[],
  time: number,
): Uint8Array {
  return Buffer.concat([
    Buffer.from("!<arch>\n"),
    ...files.flatMap(({ name, bytes }) => {
      const fields = [
        name.padEnd(16),
        String(time).padEnd(12),
        "0".padEnd(6),
        "0".padEnd(6),
        "100644".padEnd(8),
      ];
      const head = Buffer.from(`${fields.join("")}${String(bytes.length).padEnd(10)}\`\n`);
      return [head, bytes, Buffer.from(bytes.length % 2 === 1 ? "\n" : "")];
    }),
  ]);
}

/** What dpkg calls md5sums; it finds files that a disk has spoiled, not those that somebody has changed. */
function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}
