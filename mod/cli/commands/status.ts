/** `meshnet status` */
import type { StatusReport } from "../../control/api_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import { VERSION } from "../../core/version.ts";
import type { CommandRun, Invocation } from "../command.ts";
import type { STATUS_PAGES } from "../commands_status.ts";
import { call, json } from "../daemon_call.ts";
import { type Paint, paint } from "../render.ts";
import { renderIpam } from "../render_ipam.ts";
import { renderDns } from "../render_names.ts";
import { renderConnections, renderOverview, renderPeers, renderTargets } from "../render_status.ts";

/** Prints the overview or a page of it: once, again and again, or whether all is well. */
export const run: CommandRun = async (invocation, io): Promise<number | void> => {
  const ask = () => call<StatusReport>({ method: "GET", path: "/status" }, { invocation, io });
  const page = invocation.args[0] as Page | undefined;
  if (invocation.on("check")) {
    refuseBesideCheck(invocation, page);
    return await (await import("../watching.ts")).check({ ask, io, watch: invocation.on("watch") });
  }
  const show = (report: StatusReport) =>
    invocation.on("json")
      ? json(page === undefined ? report : page === "targets" ? report.targetStates : report[page])
      : pageText(report, page, paint(io.colour));
  if (!invocation.on("watch")) return io.out(show(await ask()));
  await (await import("../watching.ts")).watch({ ask, io, show, isJson: invocation.on("json") });
};

type Page = typeof STATUS_PAGES[number];

/** The check is one line, so nothing chooses what it shows. */
function refuseBesideCheck(invocation: Invocation, page: Page | undefined): void {
  const other = page ?? (invocation.on("json") ? "--json" : undefined);
  if (other === undefined) return;
  throw new MeshnetError("usage/bad-option", `Cannot use --check with ${other}`, {
    hint: "--check prints one line; the exit code says the same: 0 well, 4 degraded",
  });
}

function pageText(report: StatusReport, page: Page | undefined, look: Paint): string {
  switch (page) {
    case "connections":
      return renderConnections(report, look);
    case "peers":
      return renderPeers(report, look);
    case "ipam":
      return renderIpam(report.ipam, look);
    case "dns":
      return renderDns(report.dns, look);
    case "targets":
      return renderTargets(report, look);
    default:
      return renderOverview(report, { look, commandVersion: VERSION });
  }
}
