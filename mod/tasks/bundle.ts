/** The program as JavaScript that Deno runs without looking anything up, and how it is started. */
import type { PayloadFile } from "./payload.ts";
import { capture, root } from "./run.ts";

/** How the unpacked Deno is started. Everything it needs lies beside the bundle; nothing is looked up elsewhere. */
export const FLAGS: readonly string[] = [
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

/** The version of what is built. */
export function readVersion(): string {
  return (JSON.parse(Deno.readTextFileSync(`${root}/deno.json`)) as { version: string }).version;
}

/** The program and its workers as JavaScript, shared parts and lazily loaded commands in files of their own. */
export async function bundle(folder: string): Promise<PayloadFile[]> {
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

/** All files below a folder, by their paths below it. */
export function listFiles(folder: string, below = ""): PayloadFile[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap((entry) => {
    const path = `${below}${entry.name}`;
    if (entry.isDirectory) return listFiles(folder, `${path}/`);
    return [{ path, bytes: Deno.readFileSync(`${folder}/${path}`) }];
  });
}
