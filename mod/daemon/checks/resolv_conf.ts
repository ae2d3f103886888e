/** Whether the file is there that names the servers for all names outside of the mesh. */
import { messageOf } from "../../core/errors.ts";
import type { Finding } from "../checks.ts";

/** Names a file that cannot be read. One without servers is as somebody wanted it. */
export function unreadableResolvConf(
  path: string,
  read: (path: string) => string = (at) => Deno.readTextFileSync(at),
): Finding | undefined {
  try {
    read(path);
    return undefined;
  } catch (thrown) {
    const why = thrown instanceof Deno.errors.NotFound
      ? "is not there"
      : `cannot be read: ${messageOf(thrown)}`;
    return {
      message: `Names outside of the mesh are not answered: ${path} (--resolv-conf) ${why}`,
      hint:
        "Make that file, with lines `nameserver ADDRESS`: it is followed; or name another one with --resolv-conf",
    };
  }
}
