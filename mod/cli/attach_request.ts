/** What the requests of `attach`, `detach` and `expose` share. */
import type { AttachRequest } from "../control/api_types.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";

/** Milliseconds that attaching may take: a busy kernel waits for its routing lock. */
export const ATTACH_TIMEOUT = 60_000;

/** `[CIDR...] TARGET` as a request. The daemon runs elsewhere, so relative paths become absolute here. */
export function attachRequest(
  args: readonly string[],
  cwd: () => string = Deno.cwd,
): Pick<AttachRequest, "target" | "addresses"> {
  const target = args[args.length - 1]!;
  const relative = target.startsWith("./") || target.startsWith("../");
  return {
    target: relative ? `${cwd().replace(/\/$/, "")}/${target.replace(/^\.\//, "")}` : target,
    addresses: args.slice(0, -1),
  };
}

/** The names of `--name`. An empty one is refused: some script's variable was empty. */
export function namesOption(invocation: Pick<Invocation, "text">): readonly string[] {
  const text = invocation.text("name");
  if (text === undefined) return [];
  const names = text.split(",").map((name) => name.trim());
  if (!names.includes("")) return names;
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
  throw new MeshnetError(
    "usage/bad-option",
    `Cannot use --name: value is ${shown}, and a name in it is empty`,
    {
      hint: "Give a name such as web, several separated by commas, or leave it out",
    },
  );
}
