/** What this host announces to others about questions. */
import { PATH_EXTENSION } from "../../doctor/hop_messages.ts";
import type { Config } from "../config/config.ts";

/** Extensions of the protocol that this host announces for questions about ways. */
export function extensionsOfPaths({ without }: Pick<Config, "without">): readonly string[] {
  return without.includes(PATH_EXTENSION) ? [] : [PATH_EXTENSION];
}
