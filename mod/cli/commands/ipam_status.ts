/** `meshnet ipam status` */
import type { StatusReport } from "../../control/api_types.ts";
import type { CommandRun } from "../command.ts";
import { fit } from "../fit.ts";
import { call, json } from "../daemon_call.ts";
import { paint } from "../render.ts";
import { renderIpam } from "../render_ipam.ts";

/** Prints the page of `status` about addresses. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { ipam } = await call<StatusReport>({ method: "GET", path: "/status" }, { invocation, io });
  io.out(
    invocation.on("json") ? json(ipam) : await fit(renderIpam(ipam, paint(io.colour, io.size?.columns)), io),
  );
};
