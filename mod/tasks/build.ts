/** `deno task build`: makes `dist/meshnet`, one executable file that runs on any glibc Linux of this architecture. */
import { bundle, listFiles, readVersion } from "./bundle.ts";
import { messageOf } from "../core/errors.ts";
import { packDeno, selfExtracting } from "./executable.ts";
import { carriedBy } from "./libraries.ts";
import type { PayloadFile } from "./payload.ts";
import { capture, exists, fail, root, temporaryFolder } from "./run.ts";
import { ensure, libraryFolders } from "./setup.ts";

/** Builds the executable and returns its path. Equal sources give equal bytes. */
export async function build(): Promise<string> {
  const output = `${root}/dist/meshnet`;
  const version = readVersion();
  using scratch = temporaryFolder();
  const files = [...await bundle(scratch.path), ...libraries()];
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  const runtime = denort();
  if (runtime !== undefined) await compile(scratch.path, output, runtime);
  else {
    const deno = await packDeno(Deno.readFileSync(Deno.execPath()));
    await writeAtomically(output, await selfExtracting(deno, files));
  }
  const said = (await capture([output, "version"])).trim();
  if (!said.includes(version)) throw new Error(`The built file does not tell version ${version}: ${said}`);
  return output;
}

/** Libraries of this machine: the daemon loads them from beside the program, so that a host needs nothing installed. */
function libraries(): PayloadFile[] {
  return carriedBy(Deno.build.arch).map(({ file }) => {
    const folder = libraryFolders().find((candidate) => exists(`${candidate}/${file}`));
    if (folder === undefined) throw new Error(`Cannot find ${file} on this machine`);
    return { path: `lib/${file}`, bytes: Deno.readFileSync(`${folder}/${file}`) };
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
