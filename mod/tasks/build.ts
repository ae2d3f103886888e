/** `deno task build`: makes `dist/meshnet`, one executable file that runs on any glibc Linux of this architecture. */
import { compress, compressInPieces, joinPayload, type PayloadFile, sha256, tar } from "./payload.ts";
import { messageOf } from "../core/errors.ts";
import { capture, exists, fail, root, temporaryFolder } from "./run.ts";
import { ensure, libraryFolders } from "./setup.ts";

/** How the unpacked Deno is started. Everything it needs lies beside the bundle; nothing is looked up elsewhere. */
const FLAGS = [
  "-A",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--cached-only",
  "--no-prompt",
  "-q",
  "--v8-flags=--expose-gc", // ffi/memory.ts collects garbage once the start is over
];
const WORKERS = ["dataplane_worker", "names_worker"] as const;
const LIBRARIES = ["libnl-3.so.200", "libsodium.so.23"];

/** Builds the executable and returns its path. Equal sources give equal bytes. */
export async function build(): Promise<string> {
  const output = `${root}/dist/meshnet`;
  const version = readVersion();
  using scratch = temporaryFolder();
  const files = [...await bundle(scratch.path), ...libraries()];
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  const runtime = denort();
  if (runtime !== undefined) await compile(scratch.path, output, runtime);
  else await writeAtomically(output, await selfExtracting(version, files));
  const said = (await capture([output, "version"])).trim();
  if (!said.includes(version)) throw new Error(`The built file does not tell version ${version}: ${said}`);
  return output;
}

function readVersion(): string {
  return (JSON.parse(Deno.readTextFileSync(`${root}/deno.json`)) as { version: string }).version;
}

/** The program and its workers as JavaScript, shared parts and lazily loaded commands in files of their own. */
async function bundle(folder: string): Promise<PayloadFile[]> {
  await capture([
    ...[Deno.execPath(), "bundle", "-q", "--frozen", "--platform", "deno", "--code-splitting"],
    ...[
      "--outdir",
      folder,
      `${root}/main.ts`,
      ...WORKERS.map((name) => `${root}/mod/daemon/threads/${name}.ts`),
    ],
  ]);
  const files = listFiles(folder);
  const started: string[] = [];
  for (const file of files) {
    if (!file.path.endsWith(".js")) continue;
    const text = new TextDecoder().decode(file.bytes)
      // The bundler leaves a worker's address as it is in the source; the worker's bundle keeps its place in the tree.
      .replaceAll(
        /new URL\(\s*"[./]*(\w+_worker)\.ts"/g,
        (_, name: string) => (started.push(name), `new URL("./mod/daemon/threads/${name}.js"`),
      )
      // Deno reads all files that it sees imported, reached or not: those of other commands are better not seen.
      .replaceAll(/\bimport\("(\.\.?\/[^"]+\.js)"\)/g, 'import("" + "$1")')
      // The log's library looks into values by Deno itself; the part of Node that it names takes time to load.
      .replace(/^import util from "node:util";$/m, "const util = Deno;")
      // It also says where this machine keeps packages; equal sources shall give equal bytes on every machine.
      .replaceAll(/^(\/\/ |\s*")\S*\/npm\/[^/\s]+\//gm, "$1npm:");
    Deno.writeTextFileSync(`${folder}/${file.path}`, text);
  }
  const twice = started.filter((name, i) => started.indexOf(name) !== i);
  const unknown = started.filter((name) => !(WORKERS as readonly string[]).includes(name));
  if (started.length === 0 || twice.length > 0 || unknown.length > 0) {
    throw new Error(
      `The bundle starts these workers, each of which should be there once: ${started.join(", ")}`,
    );
  }
  return listFiles(folder);
}

function listFiles(folder: string, below = ""): PayloadFile[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap((entry) => {
    const path = `${below}${entry.name}`;
    if (entry.isDirectory) return listFiles(folder, `${path}/`);
    return [{ path, bytes: Deno.readFileSync(`${folder}/${path}`) }];
  });
}

/** Libraries of this machine: the daemon loads them from beside the program, so that a host needs nothing installed. */
function libraries(): PayloadFile[] {
  return LIBRARIES.map((name) => {
    const folder = libraryFolders().find((candidate) => exists(`${candidate}/${name}`));
    if (folder === undefined) throw new Error(`Cannot find ${name} on this machine`);
    return { path: `lib/${name}`, bytes: Deno.readFileSync(`${folder}/${name}`) };
  });
}

/** Deno's runtime for compiled programs, where this machine has it: given by DENORT_BIN or left by an earlier download. */
function denort(): string | undefined {
  const given = Deno.env.get("DENORT_BIN");
  if (given !== undefined) return given;
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  const archive = `denort-${Deno.build.target}.zip`;
  return exists(`${cache}/dl/release/v${Deno.version.deno}/${archive}`) ? "" : undefined;
}

/** `deno compile` of the bundle. An empty `runtime` is the one that Deno finds by itself. */
async function compile(folder: string, output: string, runtime: string): Promise<void> {
  for (const library of libraries()) {
    Deno.mkdirSync(`${folder}/lib`, { recursive: true });
    Deno.writeFileSync(`${folder}/${library.path}`, library.bytes);
  }
  await capture([
    ...[Deno.execPath(), "compile", "-q", "-A", "--no-config", "--no-check", "--no-remote", "--no-npm"],
    ...listFiles(folder).filter((file) => file.path !== "main.js").flatMap((
      file,
    ) => ["--include", `${folder}/${file.path}`]),
    ...["--output", output, `${folder}/main.js`],
  ], { env: runtime === "" ? {} : { DENORT_BIN: runtime } });
}

async function selfExtracting(version: string, files: readonly PayloadFile[]): Promise<Uint8Array> {
  const deno = Deno.readFileSync(Deno.execPath());
  return joinPayload({
    launcher: Deno.readTextFileSync(`${root}/mod/tasks/launcher.sh`),
    version,
    flags: FLAGS,
    systemCache: "/var/cache/meshnet",
    denoSize: deno.length,
    deno: await compressedDeno(deno),
    files: await compress(tar(files)),
    contents: files,
  });
}

/** Deno in four gzip members. Compressing takes seconds and Deno rarely changes, so the result is kept. */
async function compressedDeno(deno: Uint8Array): Promise<Awaited<ReturnType<typeof compressInPieces>>> {
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

/** Replaces a program in one step, also while it runs. */
async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${path}.${Deno.pid}`;
  await Deno.writeFile(fresh, bytes, { mode: 0o755 });
  await Deno.rename(fresh, path);
}

if (import.meta.main) {
  await ensure("build");
  const started = performance.now();
  const path = await build().catch((error) => fail(messageOf(error)));
  const { size } = await Deno.stat(path);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${path.slice(root.length + 1)}: ${(size / 1048576).toFixed(1)} MiB, made in ${seconds} s`);
}
