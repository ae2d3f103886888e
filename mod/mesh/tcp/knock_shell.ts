/** Whether a host is there: by an attempt to connect, which its system accepts or refuses without its daemon. */
import type { Endpoint, Ip } from "../../core/addr.ts";
import type { Knocked } from "../../core/ports.ts";
import { dial, DialError } from "./tcp_shell.ts";

/** How long the host's system may take, milliseconds. Between hosts of a mesh a round trip is far below. */
const PATIENCE_MS = 1_000;

/** Knocks once. What is accepted is closed at once. */
export async function knockAt(
  address: Endpoint,
  { from, signal }: { readonly from: Ip | undefined; readonly signal: AbortSignal },
): Promise<Knocked> {
  try {
    const late = AbortSignal.timeout(PATIENCE_MS);
    const stream = await dial(address, { from, signal: AbortSignal.any([signal, late]) });
    stream.close();
    return "accepted";
  } catch (error) {
    return error instanceof DialError && error.failure === "refused" ? "refused" : "nothing";
  }
}
