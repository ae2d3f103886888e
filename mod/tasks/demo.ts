/** `deno task demo`: hosts, containers and their traffic on this machine, in under a minute; then all is removed. */
import { Uml } from "../../tests/lab/uml.ts";
import { build } from "./build.ts";
import { capture, exists, hasProgram, run, temporaryFolder } from "./run.ts";
import { ensure } from "./setup.ts";

const LIMIT_SECONDS = 120;

/** Whether this machine's own kernel has Open vSwitch, or can load it. */
async function kernelHasOpenvswitch(): Promise<boolean> {
  if (Deno.uid() !== 0 || !hasProgram("modprobe")) return false;
  if (exists("/sys/module/openvswitch")) return true;
  return await capture(["modprobe", "openvswitch"]).then(() => true, () => false);
}

/** The last line tells how it went; everything else is for the person who watches. */
async function showLines(lines: AsyncIterable<string>): Promise<boolean> {
  for await (const line of lines) {
    if (line === "done") return true;
    if (line === "failed") return false;
    console.log(line);
  }
  return false;
}

/** Shows it, on this machine's own kernel or in one that runs as a process; whether it went well. */
async function demonstrate(exe: string): Promise<boolean> {
  using scratch = temporaryFolder();
  const program = `${scratch.path}/demo.js`;
  await capture([
    Deno.execPath(),
    "bundle",
    "-q",
    "--platform",
    "deno",
    "-o",
    program,
    "tests/lab/inside/demo.ts",
  ]);
  const argv = [Deno.execPath(), "run", "-A", "-q", "--no-config", "--no-lock", "--no-code-cache", program];
  const env = { LAB_EXE: exe, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  if (await kernelHasOpenvswitch()) {
    console.log("On this machine's own kernel.");
    const more = { LAB_FOLDER: `${scratch.path}/lab` };
    return (await run(argv, { env: { ...env, ...more }, timeoutMs: LIMIT_SECONDS * 1000 })).code === 0;
  }
  console.log(
    "This machine's kernel lacks openvswitch: all runs inside user-mode Linux, a kernel as a process.",
  );
  await using uml = Uml.boot({
    argv,
    env: { ...env, DENO_DIR: "/run/tmp/deno" },
    lifetimeSeconds: LIMIT_SECONDS,
  });
  return await showLines(uml.lines());
}

await ensure("lab");
Deno.exit(await demonstrate(await build()) ? 0 : 1);
