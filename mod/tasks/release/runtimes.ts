/** Deno for each architecture, from the npm registry, by the hashes in `runtimes.lock`. */
import { capture, exists, fail, root } from "../run.ts";
import { type Architecture, ARCHITECTURES } from "./architectures.ts";

const LOCK = `${root}/mod/tasks/release/runtimes.lock`;
/** Where Deno keeps them for the next time. */
const CACHE = `${root}/.cache/runtimes`;

/** What the lock says of one package. */
export interface Runtime {
  readonly version: string;
  /** `sha512-` and base64, of the package's archive. */
  readonly integrity: string;
}

/** What the lock says of Deno for an architecture. Throws where it has another version than the program runs on. */
export function runtimeOf(architecture: Architecture): Runtime {
  const lock = JSON.parse(Deno.readTextFileSync(LOCK)) as { npm: Record<string, { integrity: string }> };
  const version = Deno.version.deno;
  const entry = lock.npm[`${architecture.deno}@${version}`];
  if (entry === undefined) {
    throw new Error(
      `runtimes.lock has no ${architecture.deno}@${version}. Take what the registry has: ` +
        `deno cache --no-config --lock=mod/tasks/release/runtimes.lock npm:${architecture.deno}@${version}`,
    );
  }
  return { version, integrity: entry.integrity };
}

/** Makes sure that Deno is there for all architectures. */
export async function fetchRuntimes(): Promise<void> {
  const names = ARCHITECTURES.map((one) => `npm:${one.deno}@${runtimeOf(one).version}`);
  await capture(
    [Deno.execPath(), "cache", "-q", "--no-config", `--lock=${LOCK}`, "--frozen", ...names],
    { env: { DENO_DIR: CACHE } },
  );
}

/** The path of Deno for an architecture, once it was fetched. */
export function runtimePath(architecture: Architecture): string {
  const inner = `${architecture.deno}/${runtimeOf(architecture).version}/deno`;
  const walk = (folder: string, depth: number): string | undefined => {
    if (exists(`${folder}/${inner}`)) return `${folder}/${inner}`;
    if (depth === 0) return undefined;
    for (const entry of Deno.readDirSync(folder)) {
      const found = entry.isDirectory ? walk(`${folder}/${entry.name}`, depth - 1) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  };
  // Between the cache and the package's name are the names of the registry: its host, perhaps more.
  return walk(`${CACHE}/npm`, 3) ?? fail(`Cannot find ${inner} below ${CACHE}`);
}
