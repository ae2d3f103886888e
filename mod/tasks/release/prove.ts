/** `deno task prove [package|emulated]`: installs, updates, removes and purges the package on a host of its own: a minimal Debian that
 * debootstrap makes, with systemd, on user-mode Linux, a kernel that runs as a process and has Open vSwitch. */
import { messageOf } from "../../core/errors.ts";
import { debianRelease, debianSources } from "../debian.ts";
import { capture, command, fail, root, run, temporaryFolder } from "../run.ts";
import { ensure } from "../setup.ts";
import { ARCHITECTURES } from "./architectures.ts";
import { emulate } from "./emulate.ts";
import { bundleProgram, gather, readRelease } from "./program.ts";
import { makeDeb } from "./release.ts";
import { fetchRuntimes } from "./runtimes.ts";

const LIMIT_MS = 600_000;
const MODULES = "/usr/lib/uml/modules";
const PURPOSE = { purpose: "prove" } as const;
/** What the host has beside Debian's essential packages: those that the package needs, and those of the proof. */
const INCLUDED = ["systemd", "kmod", "iproute2", "iputils-ping", "libnl-3-200", "libsodium23"];
const UNIT = `[Unit]
Description=what is proven
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=480
ExecStart=/bin/sh /prove/prove.sh
`;

/** Puts two versions of the package into a folder. */
async function makePackages(folder: string): Promise<void> {
  await fetchRuntimes();
  const architecture = ARCHITECTURES.find(({ name }) => name === Deno.build.arch)!;
  const [program, release] = [await gather(architecture, await bundleProgram()), await readRelease()];
  const next = { ...release, version: `${release.version}+next` };
  Deno.writeFileSync(`${folder}/first.deb`, await makeDeb(program, release));
  Deno.writeFileSync(`${folder}/second.deb`, await makeDeb(program, next));
  Deno.writeTextFileSync(`${folder}/second.version`, next.version);
}

/** Makes the host's root. */
async function makeRoot(path: string): Promise<void> {
  const { mirror } = await debianSources();
  const packages = `${root}/.cache/packages`; // downloaded ones, for the next time
  Deno.mkdirSync(packages, { recursive: true });
  const { code } = await run([
    ...["unshare", "--mount", "--pid", "--fork", "--kill-child"], // what it mounts ends with it
    ...["debootstrap", "--variant=minbase", `--include=${INCLUDED.join(",")}`, `--cache-dir=${packages}`],
    ...[debianRelease(), path, mirror],
  ], { ...PURPOSE, cwd: "/", timeoutMs: LIMIT_MS });
  if (code !== 0) throw new Error(`debootstrap ended with ${code}`);
  for (const kernel of Deno.readDirSync(MODULES)) {
    Deno.mkdirSync(`${path}/usr/lib/modules`, { recursive: true });
    const copy = ["cp", "-r", `${MODULES}/${kernel.name}`, `${path}/usr/lib/modules/`];
    for (const argv of [copy, ["depmod", "-b", path, kernel.name]]) await capture(argv, PURPOSE);
  }
  const wants = `${path}/etc/systemd/system/multi-user.target.wants`;
  Deno.mkdirSync(wants, { recursive: true });
  Deno.writeTextFileSync(`${path}/etc/systemd/system/prove.service`, UNIT);
  Deno.symlinkSync("../prove.service", `${wants}/prove.service`);
}

/** Boots the root and prints what it proves; whether all went well. */
async function boot(machine: string, scratch: string): Promise<boolean> {
  const lines = `${machine}/prove/lines`;
  Deno.writeTextFileSync(lines, "");
  const child = command(
    [
      ...["unshare", "--pid", "--fork", "--kill-child", "linux.uml", "mem=1536M"],
      ...["root=/dev/root", "rootfstype=hostfs", `rootflags=${machine}`, "rw", "init=/lib/systemd/systemd"],
      ...["con=null", "con0=null,fd:1", "quiet", "panic=-1", `uml_dir=${scratch}/uml`],
    ],
    { env: { TMPDIR: scratch }, stdin: "null", stdout: "null", stderr: "null" },
    "prove",
  ).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  let shown = 0;
  const show = () => {
    const text = Deno.readTextFileSync(lines).split("\n").slice(0, -1);
    for (const line of text.slice(shown)) console.log(line);
    shown = text.length;
    return text.at(-1) === "done";
  };
  const watch = setInterval(show, 500);
  await child.status;
  clearTimeout(timer);
  clearInterval(watch);
  return show();
}

/** Makes the host and boots it. */
async function prove(): Promise<boolean> {
  using scratch = temporaryFolder();
  const machine = `${scratch.path}/host`;
  await makeRoot(machine);
  Deno.mkdirSync(`${machine}/prove`);
  await makePackages(`${machine}/prove`);
  Deno.copyFileSync(`${root}/mod/tasks/release/prove.sh`, `${machine}/prove/prove.sh`);
  return await boot(machine, scratch.path);
}

const PARTS = { package: prove, emulated: emulate };

const names = Deno.args.length === 0 ? Object.keys(PARTS) : Deno.args;
if (!names.every((name) => Object.hasOwn(PARTS, name))) fail("Usage: deno task prove [package|emulated]");
if (Deno.uid() !== 0) fail("This makes root folders and namespaces: run it as root");
for (const purpose of ["release", "prove"] as const) await ensure(purpose);
for (const name of names as (keyof typeof PARTS)[]) {
  const good = await PARTS[name]().catch((error) => fail(messageOf(error)));
  if (!good) fail(`Not proven: ${name}`);
}
