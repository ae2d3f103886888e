/** The request that `attach` and `detach` share. */
import type { AttachRequest } from "../control/api_types.ts";

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
