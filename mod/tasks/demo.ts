/** `deno task demo`: hosts, containers and their traffic on this machine, in under a minute; then all is removed.
 *
 * With the word `ovs` it is about Open vSwitch, in a kernel that runs as a process where this machine's has none. */
import { LabProgram } from "../../tests/lab/program.ts";
import { build } from "./build.ts";
import { capture, exists, fail, hasProgram, run } from "./run.ts";
import { ensure } from "./setup.ts";

/** Fifteen times what it takes alone: in a test run it shares the processors with three kernels like it, and other
 * machines on the same hardware may take most of them for a while. */
const LIMIT_SECONDS = 900;

/** Whether this machine's own kernel has Open vSwitch, or can load it. */
async function kernelHasOpenvswitch(): Promise<boolean> {
  if (Deno.uid() !== 0 || !hasProgram("modprobe")) return false;
  if (exists("/sys/module/openvswitch")) return true;
  return await capture(["modprobe", "openvswitch"], { purpose: "lab" }).then(() => true, () => false);
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
async function demonstrate(what: "any" | "ovs"): Promise<boolean> {
  using program = await LabProgram.bundle("tests/lab/inside/demo.ts");
  const openvswitch = await kernelHasOpenvswitch();
  if (openvswitch || what === "any") {
    const how = openvswitch
      ? ""
      : "; it lacks openvswitch, so eBPF programs move the frames, or a bridge and the daemons";
    console.log(`On this machine's own kernel${how}.`);
    const datapath = openvswitch ? "ovs" : "bridge";
    const env = { ...program.env, LAB_FOLDER: program.folder, DEMO_DATAPATH: datapath };
    return (await run(program.argv, { env, timeoutMs: LIMIT_SECONDS * 1000 })).code === 0;
  }
  console.log(
    "This machine's kernel lacks openvswitch: all runs inside user-mode Linux, a kernel as a process.",
  );
  await using uml = program.boot({ lifetimeSeconds: LIMIT_SECONDS });
  return await showLines(uml.lines());
}

const [what = "any", ...rest] = Deno.args;
if (rest.length > 0 || what !== "any" && what !== "ovs") fail("Usage: deno task demo [ovs]");
if (what === "any" && Deno.uid() !== 0) fail("The demonstration makes network namespaces: run it as root");
await ensure("lab");
// A test run has built already, and other scenarios run that file meanwhile.
if (Deno.env.get("DEMO_BUILT") === undefined) await build();
Deno.exit(await demonstrate(what) ? 0 : 1);
