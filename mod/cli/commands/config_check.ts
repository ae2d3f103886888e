/** `meshnet config check` */
import type { CommandRun } from "../command.ts";
import { fit } from "../fit.ts";
import { json } from "../daemon_call.ts";
import { paint, printable } from "../render.ts";
import { table } from "../table.ts";

/** Reads all settings as `up` would, and says what they are and where each comes from. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { loadConfig } = await import("../../daemon/config/config.ts");
  const { json: _, ...flags } = invocation.given;
  const { origins, password, warnings } = await loadConfig(flags);
  for (const warning of warnings) io.err(printable(`warning: ${warning}`) + "\n");
  if (invocation.on("json")) return io.out(json(origins));
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
    await fit(`${rest}. ${password === undefined ? "No password is set." : "A password is set."}\n`, io),
  );
};
