/** Options that several commands have. */
import type { OptionSpec } from "../core/options.ts";

/** Of every listing. */
export const JSON_OPTION: OptionSpec = { name: "json", kind: "switch", brief: "Print JSON for scripts" };
/** Of every command that waits. */
export const TIMEOUT_OPTION: OptionSpec = {
  name: "timeout",
  kind: "number",
  placeholder: "SECONDS",
  fallback: "60",
  brief: "Longest wait",
};
/** Of every request that may wait. */
export const WAIT_OPTIONS: readonly OptionSpec[] = [
  { name: "no-wait", kind: "switch", brief: "Fail at once when nobody can be asked" },
  TIMEOUT_OPTION,
];
/** Of what can have names. */
export const NAME_OPTION: OptionSpec = {
  name: "name",
  kind: "list",
  placeholder: "NAME,...",
  brief: "Names for it, with or without the domain",
};
