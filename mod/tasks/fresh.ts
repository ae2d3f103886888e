/** `deno task fresh [TASK [ARGUMENT...]]`: runs the README's test command, or another task, on a machine where nobody
 * installed anything: a minimal Debian root with npm, a clean clone of what is committed, and nothing else. It cannot
 * use what this machine has. It and its processes are gone afterwards. */
import { debianRelease, debianSources } from "./debian.ts";
import { ESSENTIAL } from "./packages.ts";
import { messageOf } from "../core/errors.ts";
import { capture, command, fail, root, temporaryFolder } from "./run.ts";
import { ensure } from "./setup.ts";

/** What a machine may need to reach the network; the rest of the environment stays outside. */
const PASSED_ON =
  /^((https?|no|all)_proxy|npm_config_.*|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|DENO_TLS_CA_STORE)$/i;
/** The exit code after Ctrl-C and the like. */
const INTERRUPTED = 130;
const PURPOSE = { purpose: "setup" } as const;

/** What fresh.sh finds beside the root's folder. */
async function prepare(machine: string): Promise<string> {
  const { mirror, sources } = await debianSources();
  Deno.mkdirSync(`${machine}.apt/apt.conf.d`, { recursive: true });
  Deno.writeTextFileSync(`${machine}.apt/sources.list`, sources);
  const settings = await capture(["apt-config", "dump", "--no-empty", "Acquire"], PURPOSE);
  Deno.writeTextFileSync(`${machine}.apt/apt.conf.d/10machine`, settings);
  const env = Object.entries(Deno.env.toObject()).filter(([name, value]) =>
    PASSED_ON.test(name) && !/\s/.test(value)
  );
  Deno.writeTextFileSync(`${machine}.env`, env.map(([name, value]) => `${name}=${value}\n`).join(""));
  Deno.writeTextFileSync(`${machine}.essential`, Object.values(ESSENTIAL).flat().join("\n"));
  await capture(["git", "clone", "-q", "--no-hardlinks", root, `${machine}.clone`], { purpose: "fresh" });
  return mirror;
}

/** Runs a task of the project on a fresh machine; its exit code. Once the signal is aborted everything ends early. */
async function runFresh(task: readonly string[], signal: AbortSignal): Promise<number> {
  using scratch = temporaryFolder();
  const machine = `${scratch.path}/root`;
  Deno.mkdirSync(machine);
  const mirror = await prepare(machine);
  const packages = `${root}/.cache/packages`; // downloaded ones, for the next time
  Deno.mkdirSync(packages, { recursive: true });
  if (signal.aborted) return INTERRUPTED;
  const child = command(
    [
      ...[
        "unshare",
        "--mount",
        "--pid",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child",
        "sh",
        `${root}/mod/tasks/fresh.sh`,
      ],
      ...[
        machine,
        packages,
        debianRelease(),
        mirror,
        "npx",
        "-y",
        `deno@${Deno.version.deno}`,
        "task",
        ...task,
      ],
    ],
    { cwd: "/", stdin: "null", stdout: "inherit", stderr: "inherit" },
    "fresh",
  ).spawn();
  // With its namespaces the mounts are gone, and the folder can be removed.
  signal.addEventListener("abort", () => child.kill("SIGKILL"));
  const { code } = await child.status;
  return signal.aborted ? INTERRUPTED : code;
}

if (Deno.uid() !== 0) fail("This makes a root folder and mounts: run it as root");
await ensure("fresh");
const dirty = await capture(["git", "status", "--porcelain"], { purpose: "fresh" });
if (dirty !== "") console.error("fresh: this takes what is committed; your other changes are not in it");
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(name, () => stop.abort());
}
const task = Deno.args.length === 0 ? ["test"] : Deno.args;
Deno.exit(await runFresh(task, stop.signal).catch((error) => fail(messageOf(error))));
