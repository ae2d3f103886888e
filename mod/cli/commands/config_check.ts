/** `meshnet config check` */
import type { FullReport } from "../../control/api_types.ts";
import type { CommandRun } from "../command.ts";
import { fit } from "../fit.ts";
import { json } from "../daemon_call.ts";
import type { Io } from "../io.ts";
import { formatError, paint, printable } from "../render.ts";
import { table } from "../table.ts";

/** Exit codes, as those of `up`. */
const [FAILED, WRONG_USAGE] = [1, 2];

type Origins = FullReport["config"];

/** Reads all settings as `up` would, says what they are and where each comes from, and looks whether this host can have
 * them. */
export const run: CommandRun = async (invocation, io): Promise<number> => {
  const { loadConfig } = await import("../../daemon/config/config.ts");
  const { json: _, "settings-only": settingsOnly, ...flags } = invocation.given;
  const config = await loadConfig(flags);
  const { origins, password, warnings } = config;
  for (const warning of warnings) io.err(printable(`warning: ${warning}`) + "\n");
  if (invocation.on("json")) io.out(json(origins));
  else await show(origins, { hasPassword: password !== undefined, io });
  if (settingsOnly === true) return 0;
  if (Deno.uid() !== 0) {
    io.err("warning: Whether this host can have these settings is not looked at: that takes root\n");
    return 0;
  }
  const { settingsFaults } = await import("../../daemon/settings_check.ts");
  const { faults, warnings: toKnow } = await settingsFaults(config);
  for (const warning of toKnow) io.err(printable(`warning: ${warning}`) + "\n");
  for (const fault of faults) io.err(formatError(fault));
  return Math.max(0, ...faults.map(({ code }) => code.startsWith("usage/") ? WRONG_USAGE : FAILED));
};

async function show(
  origins: Origins,
  { hasPassword, io }: { readonly hasPassword: boolean; readonly io: Io },
): Promise<void> {
  const rows = Object.entries(origins).filter(([, { from }]) => from !== "default").map(([name, set]) => ({
    cells: [
      { text: name },
      { text: Array.isArray(set.value) ? set.value.join(",") : String(set.value) },
      { text: set.from },
    ],
  }));
  if (rows.length > 0) io.out(table(["SETTING", "VALUE", "FROM"], rows, paint(io.colour, io.size?.columns)));
  const rest = rows.length === 0 ? "All settings are defaults" : "All other settings are defaults";
  io.out(
    await fit(`${rest}. ${hasPassword ? "A password is set." : "No password is set."}\n`, io),
  );
}
