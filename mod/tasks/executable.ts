/** The one file that unpacks itself: a launcher, Deno and the program. */
import { FLAGS, listFiles, readVersion } from "./bundle.ts";
import { compress, compressInPieces, joinPayload, type PayloadFile, sha256, tar } from "./payload.ts";
import { exists, root } from "./run.ts";

/** Deno's bytes for some architecture, also compressed: gzip members that give its bytes one after the other. */
export interface PackedDeno {
  readonly bytes: Uint8Array;
  readonly pieces: Awaited<ReturnType<typeof compressInPieces>>;
}

/** Text of a script beside this file. */
export function readScript(name: string): string {
  return Deno.readTextFileSync(`${root}/mod/tasks/${name}`);
}

/** The executable. Equal arguments give equal bytes. */
export async function selfExtracting(deno: PackedDeno, files: readonly PayloadFile[]): Promise<Uint8Array> {
  return joinPayload({
    launcher: readScript("launcher.sh"),
    runtime: readScript("runtime.sh"),
    version: readVersion(),
    flags: FLAGS,
    systemCache: "/var/cache/meshnet",
    denoSize: deno.bytes.length,
    deno: deno.pieces,
    files: await compress(tar(files)),
    contents: files,
  });
}

/** Compresses Deno. */
export async function packDeno(bytes: Uint8Array): Promise<PackedDeno> {
  return { bytes, pieces: await compressedDeno(bytes) };
}

/** Deno in four gzip members. Compressing takes seconds and Deno rarely changes, so the result is kept. */
async function compressedDeno(deno: Uint8Array): Promise<PackedDeno["pieces"]> {
  const folder = `${root}/.cache/deno-${sha256(deno).slice(0, 32)}`;
  if (exists(folder)) {
    return listFiles(folder).map((file) => ({ megabyte: Number(file.path), bytes: file.bytes }))
      .sort((a, b) => a.megabyte - b.megabyte);
  }
  const pieces = await compressInPieces(deno, 4);
  await Deno.mkdir(`${root}/.cache`, { recursive: true });
  const fresh = Deno.makeTempDirSync({ dir: `${root}/.cache` });
  for (const piece of pieces) Deno.writeFileSync(`${fresh}/${piece.megabyte}`, piece.bytes);
  try {
    Deno.renameSync(fresh, folder);
  } catch {
    Deno.removeSync(fresh, { recursive: true }); // another build was faster
  }
  return pieces;
}
