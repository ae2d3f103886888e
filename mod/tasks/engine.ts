/** Another Debian's container engine, unpacked into a folder of its own for the lab: users run many versions. Nothing of it
 * is installed, and this machine's own packages stay as they are. */
import { debianRelease, debianSources } from "./debian.ts";
import { capture, exists, fail, root } from "./run.ts";

/** The Debian whose engine the lab tries beside this machine's own. A released one: what it has stays as it is. */
const OTHER_DEBIAN = "trixie";
/** The engine and its client, and what a host needs that starts meshnet. What they depend on comes along. */
const WANTED = [
  ...["docker.io", "docker-cli", "docker-compose", "iptables", "kmod", "procps"],
  ...["coreutils", "dash", "findutils", "grep", "gzip", "mount", "sed", "tar", "util-linux"],
];
/** Which of several programs is meant is asked when a package is installed, which these are not. */
const ALTERNATIVES = ["iptables", "iptables-save", "iptables-restore"].flatMap((
  name,
) => [name, `ip6${name.slice(2)}`]);
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const PURPOSE = { purpose: "setup" } as const;
const UPDATE_MS = 180_000;
const DOWNLOAD_MS = 600_000;

/** Its folder, which has a `usr`; undefined where this machine's own Debian is that one. */
export async function otherEngine(release: string = OTHER_DEBIAN): Promise<string | undefined> {
  if (debianRelease() === release) return undefined;
  const folder = `${root}/.cache/engines/${release}`;
  if (exists(folder)) return folder;
  console.error(`Unpacking the container engine of Debian ${release}`);
  Deno.mkdirSync(`${root}/.cache/engines`, { recursive: true });
  const fresh = Deno.makeTempDirSync({ dir: `${root}/.cache/engines` });
  try {
    await unpack(release, fresh);
    Deno.chmodSync(fresh, 0o755);
    Deno.renameSync(fresh, folder);
  } finally {
    if (exists(fresh)) Deno.removeSync(fresh, { recursive: true });
  }
  return folder;
}

async function unpack(release: string, folder: string): Promise<void> {
  const apt = `${folder}/apt`;
  for (const name of ["lists/partial", "cache/archives/partial"]) {
    Deno.mkdirSync(`${apt}/${name}`, { recursive: true });
  }
  const { mirror } = await debianSources();
  const signedBy = exists(KEYRING) ? `[signed-by=${KEYRING}] ` : "";
  Deno.writeTextFileSync(`${apt}/sources.list`, `deb ${signedBy}${mirror} ${release} main\n`);
  Deno.writeTextFileSync(`${apt}/status`, ""); // nothing is installed there
  const places = {
    ...{ "Dir::Etc::SourceList": `${apt}/sources.list`, "Dir::Etc::SourceParts": "/dev/null" },
    ...{ "Dir::Etc::Preferences": "/dev/null", "Dir::Etc::PreferencesParts": "/dev/null" },
    ...{ "Dir::State": apt, "Dir::State::Lists": `${apt}/lists`, "Dir::State::status": `${apt}/status` },
    ...{ "Dir::Cache": `${apt}/cache`, "APT::Sandbox::User": "root", "APT::Install-Recommends": "false" },
  };
  const get = [
    "apt-get",
    "-qq",
    ...Object.entries(places).flatMap(([key, value]) => ["-o", `${key}=${value}`]),
  ];
  await capture([...get, "update"], { ...PURPOSE, timeoutMs: UPDATE_MS });
  await capture([...get, "install", "-y", "--download-only", ...WANTED], {
    ...PURPOSE,
    timeoutMs: DOWNLOAD_MS,
  });
  const archives = `${apt}/cache/archives`;
  for (const { name } of Deno.readDirSync(archives)) {
    if (name.endsWith(".deb")) await capture(["dpkg-deb", "-x", `${archives}/${name}`, folder], PURPOSE);
  }
  Deno.removeSync(apt, { recursive: true });
  for (const name of ALTERNATIVES) {
    Deno.symlinkSync(name.replace("tables", "tables-nft"), `${folder}/usr/sbin/${name}`);
  }
}

if (import.meta.main) {
  if (Deno.uid() !== 0) fail("The lab needs root: run this as root, too");
  const folder = await otherEngine(Deno.args[0]);
  console.log(folder ?? "This machine's own Debian is that one");
}
