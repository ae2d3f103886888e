/** `meshnet ipam import` */
import type { ImportAnswer, ImportRequest } from "../../control/address_types.ts";
import { MeshnetError, messageOf, systemReason } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { printable } from "../render.ts";

/** Addresses that are named; there may be thousands. */
const MOST_NAMED = 20;

/** Takes a backup in. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const [file] = invocation.args as [string];
  const gone = (invocation.text("gone") ?? "").split(",").filter((host) => host !== "");
  const body: ImportRequest = { backup: readFile(file), gone };
  const answer = await call<ImportAnswer>({ method: "POST", path: "/ipam/import", body }, { invocation, io });
  if (invocation.on("json")) return io.out(json(answer));
  const { gone: lost, left, restored, shares } = answer;
  io.out(shares ? "The hosts own again what the backup says.\n" : "The hosts knew already who owns what.\n");
  io.out(`Held again: ${restored} ${restored === 1 ? "address" : "addresses"}.\n`);
  for (const { address, holder, why } of left.slice(0, MOST_NAMED)) {
    io.err(`left out: ${printable(`${address} of ${holder}: ${why}`)}\n`);
  }
  if (left.length > MOST_NAMED) io.err(`left out: ${left.length - MOST_NAMED} more\n`);
  if (shares && lost.length > 0) io.out(`Now run \`meshnet rmpeer ${lost.join(" ")}\`.\n`);
};

function readFile(file: string): unknown {
  const refuse = (why: string, cause: unknown) =>
    new MeshnetError("ipam/bad-backup", `Cannot read the backup ${file}: ${why}`, {
      hint: "Give a file as `meshnet ipam export` has written it",
      cause,
    });
  let text: string;
  try {
    text = Deno.readTextFileSync(file === "-" ? "/dev/stdin" : file);
  } catch (cause) {
    throw refuse(systemReason(cause), cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refuse(`it is no JSON: ${messageOf(cause)}`, cause);
  }
}
