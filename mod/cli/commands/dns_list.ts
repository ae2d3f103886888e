/** `meshnet dns list` */
import type { NameReport } from "../../control/name_types.ts";
import type { CommandRun } from "../command.ts";
import { fit } from "../fit.ts";
import { call, json } from "../daemon_call.ts";
import { paint } from "../render.ts";
import { renderNames } from "../render_names.ts";

/** Lists all names. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const names = await call<readonly NameReport[]>({ method: "GET", path: "/dns" }, { invocation, io });
  io.out(
    invocation.on("json")
      ? json(names)
      : await fit(renderNames(names, paint(io.colour, io.size?.columns)), io),
  );
};
