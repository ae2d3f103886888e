/** `meshnet docker env` */
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { dockerProxy } from "../docker_proxy.ts";

/** Where DOCKER_HOST was, while it is another. */
const KEPT = "MESHNET_ORIG_DOCKER_HOST";

/** Prints variables for the shell. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  if (invocation.on("restore")) {
    const before = io.env(KEPT);
    const line = before === undefined ? "unset DOCKER_HOST" : `export DOCKER_HOST=${quoted(before)}`;
    return io.out(invocation.on("json") ? json({ DOCKER_HOST: before ?? null }) : `${line}; unset ${KEPT}\n`);
  }
  const proxy = await dockerProxy({ invocation, io });
  const now = io.env("DOCKER_HOST");
  const before = now === proxy ? io.env(KEPT) : now;
  if (invocation.on("json")) return io.out(json({ DOCKER_HOST: proxy, [KEPT]: before ?? null }));
  const kept = before === undefined ? "" : ` ${KEPT}=${quoted(before)}`;
  io.out(`export DOCKER_HOST=${quoted(proxy)}${kept}\n`);
};

/** A word of the shell that stays one. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
