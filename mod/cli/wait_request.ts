/** How long commands wait for addresses and for other hosts. */
import type { WaitRequest } from "../control/address_types.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";

const USUAL_SECONDS = 60;
const MOST_SECONDS = 24 * 3_600;
/** The daemon answers in time even where it is busy. */
const GRACE_MS = 30_000;

/** The options of a command as a request, and how long to wait for the answer. */
export function waitRequest(
  invocation: Invocation,
): { readonly wait: WaitRequest; readonly answerMs: number } {
  const text = invocation.text("timeout");
  const seconds = text === undefined
    ? USUAL_SECONDS
    : /^[0-9]{1,6}(\.[0-9]{1,3})?$/.test(text)
    ? Number(text)
    : NaN;
  if (!(seconds <= MOST_SECONDS)) {
    throw new MeshnetError("usage/bad-option", `Cannot use --timeout: value is ${JSON.stringify(text)}`, {
      hint: `Give seconds, 0 to ${MOST_SECONDS}, for example 10`,
    });
  }
  const timeoutMs = Math.round(seconds * 1000);
  return { wait: { noWait: invocation.on("no-wait"), timeoutMs }, answerMs: timeoutMs + GRACE_MS };
}
