/** The program of another architecture as a daemon, in an emulator of its processor, beside one of this machine's. */
import { root, run, temporaryFolder } from "../run.ts";
import { ARCHITECTURES } from "./architectures.ts";
import { bundleProgram, gather } from "./program.ts";
import { fetchRuntimes } from "./runtimes.ts";
import { placeProgram } from "./try_program.ts";

const LIMIT_MS = 600_000;

/** Has the two connect, and prints what it shows; whether all went well. */
export async function emulate(): Promise<boolean> {
  await fetchRuntimes();
  using scratch = temporaryFolder();
  const bundled = await bundleProgram();
  const starters = new Map<boolean, string>();
  for (const architecture of ARCHITECTURES) {
    const folder = `${scratch.path}/${architecture.name}`;
    const { argv, env, emulated } = await placeProgram(await gather(architecture, bundled), folder);
    const sets = Object.entries(env).map(([name, value]) => `export ${name}='${value}'\n`).join("");
    const script = `#!/bin/sh\n${sets}exec ${argv.join(" ")} "$@"\n`;
    Deno.writeTextFileSync(`${folder}/start`, script, { mode: 0o755 });
    starters.set(emulated, `${folder}/start`);
  }
  const { code } = await run([
    ...["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
    ...[
      "sh",
      `${root}/mod/tasks/release/emulate.sh`,
      starters.get(true)!,
      starters.get(false)!,
      scratch.path,
    ],
  ], { purpose: "prove", timeoutMs: LIMIT_MS });
  return code === 0;
}
