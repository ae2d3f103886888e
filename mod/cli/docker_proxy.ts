/** Where the daemon serves clients of Docker. */
import type { DockerAnswer } from "../control/api_types.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";
import { call } from "./daemon_call.ts";
import type { Io } from "./io.ts";

/** The first place, as DOCKER_HOST names it. Throws where there is none. */
export async function dockerProxy(
  with_: { readonly invocation: Invocation; readonly io: Io },
): Promise<string> {
  const { proxy: [first] } = await call<DockerAnswer>({ method: "GET", path: "/docker" }, with_);
  if (first !== undefined) return first;
  throw new MeshnetError("engine/unreachable", "This host does not serve clients of Docker", {
    hint: "Start it without --docker off and --docker-proxy off; its log says if a socket could not be made",
  });
}
