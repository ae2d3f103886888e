/** What the package for Debian has in it: texts and files. */
import { gzipSync } from "node:zlib";
import { root } from "../run.ts";
import type { TarEntry } from "../tar.ts";
import type { Control } from "./deb.ts";
import { LICENCES, OWN_LICENCE } from "./licences.ts";

const MAINTAINER = "The meshnet authors <maintainers@meshnet.invalid>";
const DOCS = "/usr/share/doc/meshnet";

/** Texts that the program makes of its own tables. */
export interface ProgramTexts {
  /** Sources of manual pages, by names such as `meshnet-up.8`. */
  readonly manPages: readonly { readonly file: string; readonly text: string }[];
  readonly unit: string;
  /** By shell. */
  readonly completions: Readonly<Record<"bash" | "zsh" | "fish", string>>;
  /** An example of the configuration file, which changes nothing. */
  readonly configuration: string;
}

/** The fields of its control file. Libraries of Debian come from Debian, so its updates reach them. */
export function control(version: string, architecture: string): Control {
  return {
    Package: "meshnet",
    Version: version,
    Architecture: architecture,
    Maintainer: MAINTAINER,
    Depends: "libc6 (>= 2.27), libgcc-s1, libnl-3-200, libsodium23, init-system-helpers (>= 1.51)",
    // OpenSSL of newer releases, which have no libipsec-mb1, is fast by itself.
    Recommends: `libssl3t64 | libssl3${architecture === "amd64" ? ", libipsec-mb1 | libssl3t64" : ""}`,
    Suggests: "docker.io",
    Section: "net",
    Priority: "optional",
    Description: [
      "one Ethernet across hosts, for containers",
      "meshnet joins containers and network namespaces of many hosts into one switched",
      "network, with addresses and names and without a central server.",
      "",
      "The service is not started until you enable it: first write",
      "/etc/meshnet/meshnet.toml, then run: systemctl enable --now meshnet",
    ].join("\n"),
  };
}

/** The scripts that dpkg runs. */
export function scripts(): Readonly<Record<string, string>> {
  const read = (name: string) => Deno.readTextFileSync(`${root}/mod/tasks/release/${name}.sh`);
  return { postinst: read("postinst"), postrm: read("postrm"), prerm: read("prerm") };
}

/** Its files without the program itself: documents, the unit, completions, the folders for settings and caches. */
export function textFiles(texts: ProgramTexts, changelog: string): readonly TarEntry[] {
  const text = (path: string, content: string): TarEntry => ({ kind: "file", path, bytes: encode(content) });
  const zipped = (path: string, content: string): TarEntry => ({
    kind: "file",
    path: `${path}.gz`,
    bytes: gzipSync(encode(content), { level: 9 }),
  });
  return [
    { kind: "folder", path: "/etc/meshnet" },
    { kind: "folder", path: "/var/cache/meshnet" },
    text("/usr/lib/systemd/system/meshnet.service", texts.unit),
    text("/usr/share/bash-completion/completions/meshnet", texts.completions.bash),
    text("/usr/share/zsh/vendor-completions/_meshnet", texts.completions.zsh),
    text("/usr/share/fish/vendor_completions.d/meshnet.fish", texts.completions.fish),
    ...texts.manPages.map((page) => zipped(`/usr/share/man/man${page.file.at(-1)}/${page.file}`, page.text)),
    text(`${DOCS}/examples/meshnet.toml`, texts.configuration),
    text(`${DOCS}/copyright`, copyright()),
    zipped(`${DOCS}/CHANGELOG.md`, changelog),
  ];
}

/** Debian's copyright file: whose parts the package has, and under which licences. */
export function copyright(): string {
  const lines = Object.entries(LICENCES).map(([name, licence]) => ` ${name}: ${licence}`);
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: meshnet

Files: *
Copyright: The meshnet authors
License: ${OWN_LICENCE}
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
Comment:
 The package also has code of Deno and of npm packages, and uses libraries of
 Debian. These are the licences of all that its sources name; sbom.cdx.json
 beside this file says which are in it, with versions and hashes.
${lines.join("\n")}
`;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
