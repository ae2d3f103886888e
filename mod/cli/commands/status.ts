/** `meshnet status` */
import type { StatusReport } from "../../control/api_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import { askSoon } from "../asking.ts";
import type { CommandRun, Invocation } from "../command.ts";
import { fit } from "../fit.ts";
import { call, json } from "../daemon_call.ts";
import { paint } from "../render.ts";
import type { Page } from "../status_pages.ts";

/** Prints the overview or a page of it: once, again and again, or whether all is well. */
export const run: CommandRun = async (invocation, io): Promise<number | void> => {
  const request = { method: "GET", path: "/status" } as const;
  const send = invocation.on("watch") ? call : askSoon; // a page that comes again needs no word beside it
  const ask = () => send<StatusReport>(request, { invocation, io });
  const page = invocation.args[0] as Page | undefined;
  if (invocation.on("check")) {
    refuseBesideCheck(invocation, page);
    return await (await import("../watching.ts")).check({ ask, io, watch: invocation.on("watch") });
  }
  const show = async (report: StatusReport) => {
    if (invocation.on("json")) {
      return json(page === undefined ? report : page === "targets" ? report.targetStates : report[page]);
    }
    const { pageText } = await import("../status_pages.ts");
    return await fit(pageText(report, page, paint(io.colour, io.size?.columns)), io);
  };
  if (!invocation.on("watch")) return io.out(await show(await ask()));
  await (await import("../watching.ts")).watch({ ask, io, show, isJson: invocation.on("json") });
};

/** The check is one line, so nothing chooses what it shows. */
function refuseBesideCheck(invocation: Invocation, page: Page | undefined): void {
  const other = page ?? (invocation.on("json") ? "--json" : undefined);
  if (other === undefined) return;
  throw new MeshnetError("usage/bad-option", `Cannot use --check with ${other}`, {
    hint: "--check prints one line; the exit code says the same: 0 well, 4 degraded",
  });
}
