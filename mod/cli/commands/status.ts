/** `meshnet status` */
import type { StatusReport } from "../../control/api_types.ts";
import { VERSION } from "../../core/version.ts";
import type { CommandRun } from "../command.ts";
import type { STATUS_PAGES } from "../commands.ts";
import { call, json } from "../daemon_call.ts";
import { paint } from "../render.ts";
import { renderIpam } from "../render_ipam.ts";
import { renderDns } from "../render_names.ts";
import { renderConnections, renderOverview, renderPeers, renderTargets } from "../render_status.ts";

/** Prints the overview or a page of it. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const report = await call<StatusReport>({ method: "GET", path: "/status" }, { invocation, io });
  const page = invocation.args[0] as typeof STATUS_PAGES[number] | undefined;
  if (invocation.on("json")) {
    return io.out(
      json(page === undefined ? report : page === "targets" ? report.targetStates : report[page]),
    );
  }
  const look = paint(io.colour);
  switch (page) {
    case "connections":
      return io.out(renderConnections(report, look));
    case "peers":
      return io.out(renderPeers(report, look));
    case "ipam":
      return io.out(renderIpam(report.ipam, look));
    case "dns":
      return io.out(renderDns(report.dns, look));
    case "targets":
      return io.out(renderTargets(report, look));
    default:
      io.out(renderOverview(report, { look, commandVersion: VERSION }));
  }
};
