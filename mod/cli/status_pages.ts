/** What `meshnet status` prints for people. Loaded once the daemon has answered: without one, none of it is needed. */
import type { StatusReport } from "../control/api_types.ts";
import { VERSION } from "../core/version.ts";
import type { STATUS_PAGES } from "./commands_status.ts";
import type { Paint } from "./render.ts";
import { renderIpam } from "./render_ipam.ts";
import { renderDns } from "./render_names.ts";
import { renderConnections, renderOverview, renderPeers, renderTargets } from "./render_status.ts";

/** A page of `status`. */
export type Page = typeof STATUS_PAGES[number];

/** A page as text; without a name, the overview. */
export function pageText(report: StatusReport, page: Page | undefined, look: Paint): string {
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
