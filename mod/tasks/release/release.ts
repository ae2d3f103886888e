/** `deno task release [ARCHITECTURE...]`: makes everything that a release consists of, in `dist/release`. */
import { Buffer } from "node:buffer";
import type { Lock } from "./sbom.ts";
import { messageOf } from "../../core/errors.ts";
import { debianRelease } from "../debian.ts";
import { selfExtracting } from "../executable.ts";
import { type PayloadFile, sha256 } from "../payload.ts";
import { exists, fail, root } from "../run.ts";
import { ensure } from "../setup.ts";
import type { TarEntry } from "../tar.ts";
import { ARCHITECTURES } from "./architectures.ts";
import { deb, gzipTar, type Packed, withFolders } from "./deb.ts";
import { control, type ProgramTexts, scripts, textFiles } from "./debian_package.ts";
import { rootFiles } from "./image_files.ts";
import { imageArchive } from "./oci.ts";
import {
  bundleProgram,
  COMMAND,
  gather,
  LIBRARY_FOLDER,
  packagedCommand,
  readRelease,
  type Release,
  type ReleaseProgram,
} from "./program.ts";
import { fetchRuntimes, runtimeOf } from "./runtimes.ts";
import { sbom, usedPackages } from "./sbom.ts";
import { tryProgram } from "./try_program.ts";

/** A file of the release, by its name. */
interface Artefact {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly executable?: boolean;
}

/** What is made for one architecture. */
async function artefacts(program: ReleaseProgram, release: Release): Promise<readonly Artefact[]> {
  const { architecture, deno, bundle, libraries } = program;
  const { version, time } = release;
  const bill = encode(billOf(program, release));
  const unpacked = programFiles(program, version, bill);
  const timed = (files: readonly TarEntry[]) => withFolders(files).map((entry) => ({ ...entry, time }));
  return [
    {
      name: `meshnet-${architecture.name}`,
      bytes: await selfExtracting(deno, [...bundle, ...libraries]),
      executable: true,
    },
    { name: `meshnet-${architecture.name}.cdx.json`, bytes: bill },
    {
      name: `meshnet_${version}_${architecture.debian}.deb`,
      bytes: await makeDeb(program, release),
    },
    {
      name: `meshnet-oci-${architecture.name}.tar`,
      bytes: imageArchive({
        tag: `meshnet:${version}`,
        architecture: architecture.oci,
        layers: [
          { name: "libraries of Debian", bytes: await gzipTar(timed(await rootFiles(program))) },
          { name: "meshnet", bytes: await gzipTar(timed(unpacked), packedDeno(program)) },
        ],
        entrypoint: [COMMAND],
        command: ["up"],
        labels: {
          "org.opencontainers.image.title": "meshnet",
          "org.opencontainers.image.version": version,
          "org.opencontainers.image.licenses": "Apache-2.0",
        },
        time,
      }),
    },
  ];
}

/** The package for Debian. */
export async function makeDeb(program: ReleaseProgram, release: Release): Promise<Uint8Array> {
  const { version, time } = release;
  const changelog = Deno.readTextFileSync(`${root}/CHANGELOG.md`);
  return await deb({
    control: control(version, program.architecture.debian),
    scripts: scripts(),
    files: [
      ...programFiles(program, version, encode(billOf(program, release))),
      ...textFiles(await programTexts(release), changelog),
    ],
    packed: packedDeno(program),
    time,
  });
}

function packedDeno({ deno }: ReleaseProgram): Packed {
  return new Map([[deno.bytes, deno.pieces.map((piece) => piece.bytes)]]);
}

/** The program as packages and images have it: unpacked, with the command that starts it. */
function programFiles(
  { deno, bundle }: ReleaseProgram,
  version: string,
  bill: Uint8Array,
): readonly TarEntry[] {
  return [
    { kind: "file", path: COMMAND, bytes: encode(packagedCommand(version)), mode: 0o755 },
    { kind: "file", path: `${LIBRARY_FOLDER}/meshnet`, bytes: deno.bytes, mode: 0o755 },
    ...bundle.map(({ path, bytes }): TarEntry => ({
      kind: "file",
      path: `${LIBRARY_FOLDER}/${path}`,
      bytes,
    })),
    { kind: "file", path: "/usr/share/doc/meshnet/sbom.cdx.json", bytes: bill },
  ];
}

function billOf({ architecture, packages, bundle }: ReleaseProgram, { version, time }: Release): string {
  const text = new TextDecoder();
  return sbom({
    version,
    architecture: architecture.name,
    time: new Date(time * 1000).toISOString(),
    deno: { package: architecture.deno, ...runtimeOf(architecture) },
    libraries: packages,
    debian: { architecture: architecture.debian, release: debianRelease() },
    lock: JSON.parse(Deno.readTextFileSync(`${root}/deno.lock`)) as Lock,
    used: usedPackages(
      bundle.filter(({ path }) => path.endsWith(".js")).map(({ bytes }) => text.decode(bytes)),
    ),
  });
}

async function programTexts({ version, time }: Release): Promise<ProgramTexts> {
  const { manPages } = await import("../../cli/man_pages.ts");
  const { serviceUnit } = await import("../../cli/service_unit.ts");
  const { COMPLETIONS } = await import("../../cli/completions.ts");
  const { helpConfig } = await import("../../cli/help.ts");
  return {
    manPages: manPages({ version, date: new Date(time * 1000).toISOString().slice(0, 10) }),
    unit: serviceUnit(COMMAND),
    completions: { bash: COMPLETIONS.bash(), zsh: COMPLETIONS.zsh(), fish: COMPLETIONS.fish() },
    configuration: helpConfig(),
  };
}

/** Makes the release for some architectures, and prints what it made. */
async function makeRelease(names: readonly string[]): Promise<void> {
  const folder = `${root}/dist/release`;
  const release = await readRelease();
  await fetchRuntimes();
  const bundled: readonly PayloadFile[] = await bundleProgram();
  if (exists(folder)) Deno.removeSync(folder, { recursive: true });
  Deno.mkdirSync(folder, { recursive: true });
  const sums: string[] = [];
  for (const architecture of ARCHITECTURES.filter(({ name }) => names.length === 0 || names.includes(name))) {
    const program = await gather(architecture, bundled);
    for (const { name, bytes, executable } of await artefacts(program, release)) {
      Deno.writeFileSync(`${folder}/${name}`, bytes, { mode: executable ? 0o755 : 0o644 });
      sums.push(`${sha256(bytes)}  ${name}\n`);
      console.log(`${name}: ${(bytes.length / 1048576).toFixed(1)} MiB`);
    }
    console.log(await tryProgram(program, release.version));
  }
  Deno.writeTextFileSync(
    `${folder}/SHA256SUMS`,
    sums.sort((a, b) => a.slice(66) < b.slice(66) ? -1 : 1).join(""),
  );
  console.log("SHA256SUMS");
}

function encode(text: string): Uint8Array {
  return Buffer.from(text);
}

if (import.meta.main) {
  const unknown = Deno.args.find((name) => !ARCHITECTURES.some((one) => one.name === name));
  if (unknown !== undefined) {
    fail(`Usage: deno task release [${ARCHITECTURES.map(({ name }) => name).join("|")}]`);
  }
  await ensure("release");
  await makeRelease(Deno.args).catch((error) => fail(messageOf(error)));
}
