/** `meshnet service unit` */
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { serviceUnit, unitWarnings } from "../service_unit.ts";

/** Prints the unit. */
export const run: CommandRun = (invocation, io): void => {
  const exec = invocation.text("exec") ?? io.env("MESHNET_EXE") ?? Deno.execPath();
  if (!/^\/[^\s"'\\%$]*$/.test(exec)) {
    throw new MeshnetError("usage/bad-option", `Cannot use --exec: value is ${JSON.stringify(exec)}`, {
      hint: "Give an absolute path without blanks and quotes, for example /usr/local/bin/meshnet",
    });
  }
  for (const warning of unitWarnings(exec, isThere)) io.err(`warning: ${warning}\n`);
  io.out(serviceUnit(exec));
};

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
