/** Tries what was made: on this machine where it is of its architecture, else as far as an emulator of processors goes. */
import { FLAGS } from "../bundle.ts";
import { capture, temporaryFolder } from "../run.ts";
import { unpackPackage } from "./debian_packages.ts";
import type { ReleaseProgram } from "./program.ts";

/** Runs the unpacked program, and says what was run and how. Throws where it does not work. */
export async function tryProgram(program: ReleaseProgram, version: string): Promise<string> {
  const { architecture, deno, bundle, libraries, packages, system } = program;
  using scratch = temporaryFolder();
  const place = `${scratch.path}/program`;
  const files = [...bundle, ...libraries, { path: "deno", bytes: deno.bytes }];
  for (const { path, bytes } of files) {
    Deno.mkdirSync(`${place}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeFileSync(`${place}/${path}`, bytes, { mode: 0o755 });
  }
  const own = architecture.name === Deno.build.arch;
  const emulator = own ? [] : [`qemu-${architecture.name}-static`, "-L", `${scratch.path}/root`];
  if (!own) { for (const one of [...packages, ...system]) await unpackPackage(one, `${scratch.path}/root`); }
  const env = {
    DENO_DIR: `${scratch.path}/cache`,
    DENO_NO_UPDATE_CHECK: "1",
    MESHNET_LIB_DIR: `${place}/lib`,
    MESHNET_RUN_DIR: `${scratch.path}/run`,
    MESHNET_EXE: "/usr/bin/meshnet",
  };
  const said = (...args: readonly string[]) =>
    capture([...emulator, `${place}/deno`, "run", ...FLAGS, `${place}/main.js`, ...args], {
      env,
      purpose: "release",
      timeoutMs: 120_000,
    });
  const [versionSaid, , unit] = [
    await said("version"),
    await said("help", "up"),
    await said("service", "unit"),
  ];
  if (versionSaid.trim() !== `meshnet ${version}` || !unit.includes("ExecStart=/usr/bin/meshnet up")) {
    throw new Error(`meshnet-${architecture.name} says ${versionSaid.trim()}, and this unit: ${unit}`);
  }
  return `meshnet-${architecture.name} runs${own ? "" : " under qemu-user"}: version, help, service unit`;
}
