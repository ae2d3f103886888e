/** What the requests of `attach`, `detach` and `expose` share. */
import type { AttachRequest } from "../control/api_types.ts";
import { parseCidr } from "../core/addr.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";

/** Milliseconds that attaching may take: a busy kernel waits for its routing lock. */
export const ATTACH_TIMEOUT = 60_000;

/** `[CIDR...] TARGET` as a request. The daemon runs elsewhere, so relative paths become absolute here. A target that
 * somebody wrote first is understood, as no target looks like an address. */
export function attachRequest(
  args: readonly string[],
  cwd: () => string = Deno.cwd,
): Pick<AttachRequest, "target" | "addresses"> {
  const isFirst = args.length > 1 && isAddress(args.at(-1)!) && !isAddress(args[0]!);
  const target = isFirst ? args[0]! : args.at(-1)!;
  const relative = target.startsWith("./") || target.startsWith("../");
  return {
    target: relative ? `${cwd().replace(/\/$/, "")}/${target.replace(/^\.\//, "")}` : target,
    addresses: isFirst ? args.slice(1) : args.slice(0, -1),
  };
}

/** Whether a word asks for an address, and names no target. */
function isAddress(word: string): boolean {
  return word.startsWith("net:") || parseCidr(word.replace(/^ip:/, "")) !== undefined;
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
