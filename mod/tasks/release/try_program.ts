/** Tries what was made: on this machine where it is of its architecture, else as far as an emulator of processors goes. */
import { FLAGS } from "../bundle.ts";
import { capture, temporaryFolder } from "../run.ts";
import { unpackPackage } from "./debian_packages.ts";
import type { ReleaseProgram } from "./program.ts";

/** A program that lies unpacked in a folder, and how to start it. */
export interface PlacedProgram {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Whether an emulator runs it. */
  readonly emulated: boolean;
}

/** Unpacks a program into a folder, for another architecture with the libraries that Deno needs. */
export async function placeProgram(program: ReleaseProgram, folder: string): Promise<PlacedProgram> {
  const { architecture, deno, bundle, libraries, packages, system } = program;
  for (const { path, bytes } of [...bundle, ...libraries, { path: "deno", bytes: deno.bytes }]) {
    const target = `${folder}/program/${path}`;
    Deno.mkdirSync(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    Deno.writeFileSync(target, bytes, { mode: 0o755 });
  }
  const emulated = architecture.name !== Deno.build.arch;
  if (emulated) {
    for (const one of [...packages, ...system]) {
      await unpackPackage(one, `${folder}/libraries`);
    }
  }
  const emulator = emulated ? [`qemu-${architecture.name}-static`, "-L", `${folder}/libraries`] : [];
  return {
    argv: [...emulator, `${folder}/program/deno`, "run", ...FLAGS, `${folder}/program/main.js`],
    env: {
      DENO_DIR: `${folder}/cache`,
      DENO_NO_UPDATE_CHECK: "1",
      MESHNET_LIB_DIR: `${folder}/program/lib`,
      MESHNET_EXE: "/usr/bin/meshnet",
    },
    emulated,
  };
}

/** Runs the unpacked program, and says what was run and how. Throws where it does not work. */
export async function tryProgram(program: ReleaseProgram, version: string): Promise<string> {
  using scratch = temporaryFolder();
  const { argv, env, emulated } = await placeProgram(program, scratch.path);
  const said = (...args: readonly string[]) =>
    capture([...argv, ...args], { env, purpose: "release", timeoutMs: 120_000 });
  const [versionSaid, , unit] = [
    await said("version"),
    await said("help", "up"),
    await said("service", "unit"),
  ];
  const file = `meshnet-${program.architecture.name}`;
  if (versionSaid.trim() !== `meshnet ${version}` || !unit.includes("ExecStart=/usr/bin/meshnet up")) {
    throw new Error(`${file} says ${versionSaid.trim()}, and this unit: ${unit}`);
  }
  return `${file} runs${emulated ? " under qemu-user" : ""}: version, help, service unit`;
}
