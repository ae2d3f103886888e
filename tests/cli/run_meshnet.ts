/** Runs meshnet as a user does: the built file when MESHNET_BIN names it, else from source. */
import assert from "node:assert/strict";
import { command, programFolder } from "../../mod/tasks/run.ts";

/** What a command printed and returned. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Top folder of the project. */
export const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname);

/** The words that start meshnet. */
export function meshnetCommand(): readonly [string, ...string[]] {
  const built = Deno.env.get("MESHNET_BIN");
  return built ? [built] : [Deno.execPath(), "run", "-A", "-q", `${ROOT}main.ts`];
}

/** Runs one command line; the environment has no MESHNET_ variables but those given. */
export async function meshnet(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const inherited = Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([key]) =>
      !key.startsWith("MESHNET_") || key === "MESHNET_CACHE_DIR"
    ),
  );
  const PATH = programFolder("test");
  const output = await command([...meshnetCommand(), ...args], {
    env: { ...inherited, PATH, NO_COLOR: "1", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

/** Compares text with a file under snapshots/; UPDATE_SNAPSHOTS=1 writes it instead. */
export async function assertSnapshot(name: string, text: string): Promise<void> {
  const path = `${ROOT}tests/cli/snapshots/${name}.txt`;
  if (Deno.env.get("UPDATE_SNAPSHOTS") === "1") {
    await Deno.writeTextFile(path, text);
    return;
  }
  assert.equal(
    text,
    await Deno.readTextFile(path),
    `${name} differs; UPDATE_SNAPSHOTS=1 accepts what it is now`,
  );
}

/** Runs `test` with a folder that is removed afterwards. */
export async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "meshnet-cli-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
