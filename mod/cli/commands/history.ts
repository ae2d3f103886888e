/** `meshnet history` */
import type { HistoryReport } from "../../control/history_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun, Invocation } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import type { Io } from "../io.ts";
import { paint, printable, targetText } from "../render.ts";
import { table } from "../table.ts";
import { who } from "../render_trouble.ts";

/** Prints what happened lately, oldest first. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const entries = await read(invocation, io);
  if (invocation.on("json")) return io.out(json(entries));
  if (entries.length === 0) return io.out("Nothing is remembered.\n");
  const look = paint(io.colour, io.size?.columns);
  const rows = entries.map((one) => ({
    cells: [
      { text: `${one.at.slice(0, 19)}Z`, paint: look.dim },
      { text: one.event, paint: colourOf(one, look) },
      { text: subject(one) },
      { text: detail(one) },
    ],
  }));
  io.out(table(["TIME", "EVENT", "WHO", "WHY"], rows, look));
};

/** From the daemon; where none runs, what the last one has left. */
async function read(invocation: Invocation, io: Io): Promise<readonly HistoryReport[]> {
  try {
    return await call<readonly HistoryReport[]>({ method: "GET", path: "/history" }, { invocation, io });
  } catch (error) {
    if (!(error instanceof MeshnetError) || error.code !== "control/not-running") throw error;
    const { leftHistory } = await import("../../daemon/left_history.ts");
    const left = await leftHistory(invocation.given);
    if (left === undefined) throw error;
    io.err("The daemon is not running; this is what the last one has left.\n");
    return left;
  }
}

function colourOf({ event }: HistoryReport, look: ReturnType<typeof paint>): (text: string) => string {
  if (event === "disconnected" || event === "failed" || event === "unhealthy") return look.bad;
  return event === "established" || event === "healthy" ? look.good : (text) => text;
}

function subject({ address, nickname, peer, target }: HistoryReport): string {
  if (target !== null) return targetText({ target, name: null });
  return [who(peer, nickname), address ?? ""].filter(Boolean).join(" at ");
}

function detail({ leftOut, overlay, reason }: HistoryReport): string {
  const left = leftOut === 0 ? "" : `(${leftOut} more before this left out)`;
  return printable(
    [overlay === null ? "" : `over ${overlay}`, reason ?? "", left].filter(Boolean).join("; "),
  );
}
