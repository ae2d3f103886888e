/** Carries planned steps out, and takes back what was done when one fails. */
import { ERRNO } from "../core/errno.ts";
import { MeshnetError, messageOf, systemReason } from "../core/errors.ts";
import { describeStep, isOptional, type PlannedStep, type Step } from "./step.ts";

/** What to try after a step failed with an errno. */
function hintFor(step: Step, thrown: unknown): string {
  const errno = thrown instanceof MeshnetError ? thrown.errno : undefined;
  if (step.kind === "add-address" && (errno === ERRNO.EACCES || errno === ERRNO.EPERM)) {
    return "IPv6 seems to be switched off in the container: see net.ipv6.conf.all.disable_ipv6 there";
  }
  if (step.kind === "add-address" && errno === ERRNO.EINVAL) {
    return "An IPv6 address needs an MTU of at least 1280 bytes";
  }
  if (step.kind === "add-port") return "See `meshnet status` for the state of the datapath";
  if (errno === ERRNO.ENODEV) return "Something else removed the interface meanwhile; attach again";
  if (step.kind === "add-address" && errno === ERRNO.EOPNOTSUPP) return "This kernel has no IPv6";
  const own = thrown instanceof MeshnetError ? thrown.hint : undefined;
  return own ?? "Try again; the kernel's log (dmesg) may say more";
}

/**
 * Performs the steps in order. Some steps may fail without harm; these give warnings. When any other step fails, undoes
 * the earlier ones in reverse order and throws "attach/failed". The message names the step, and what is left if undoing
 * failed as well. `action` completes "Cannot", say "attach netns:a".
 */
export function applySteps(
  planned: readonly PlannedStep[],
  perform: (step: Step) => void,
  action: string,
): readonly string[] {
  const warnings: string[] = [];
  const undos: Step[] = [];
  for (const { step, undo } of planned) {
    try {
      perform(step);
    } catch (thrown) {
      if (isOptional(step)) {
        warnings.push(`Could not ${describeStep(step)}: ${systemReason(thrown)}`);
        continue;
      }
      const left = takeBack(undos, perform);
      const remains = left.length === 0 ? "" : `; then also failed to ${left.join(", and to ")}`;
      throw new MeshnetError(
        "attach/failed",
        `Cannot ${action}: failed to ${describeStep(step)}: ${messageOf(thrown)}${remains}`,
        {
          hint: hintFor(step, thrown),
          cause: thrown,
          ...(thrown instanceof MeshnetError && thrown.errno !== undefined ? { errno: thrown.errno } : {}),
        },
      );
    }
    if (undo !== undefined) undos.unshift(undo);
  }
  return warnings;
}

/** Performs all of `undos` whatever happens; returns those that failed, in words. */
function takeBack(undos: readonly Step[], perform: (step: Step) => void): readonly string[] {
  const failed: string[] = [];
  for (const undo of undos) {
    try {
      perform(undo);
    } catch (thrown) {
      failed.push(`${describeStep(undo)} (${messageOf(thrown)})`);
    }
  }
  return failed;
}
