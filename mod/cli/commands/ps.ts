/** `meshnet ps` */
import type { HolderReport } from "../../control/address_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { paint, table } from "../render.ts";

/** Lists holders of addresses. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const all = await call<readonly HolderReport[]>({ method: "GET", path: "/ps" }, { invocation, io });
  const stranger = invocation.args.find((word) => !all.some(({ holder }) => holder === word));
  if (stranger !== undefined) {
    throw new MeshnetError("attach/not-attached", `Cannot list ${stranger}: it holds no address here`, {
      hint: "`meshnet ps` lists all that do",
    });
  }
  const wanted = all.filter(({ holder }) => invocation.args.length === 0 || invocation.args.includes(holder));
  if (invocation.on("json")) return io.out(json(wanted));
  if (wanted.length === 0) return io.out("Nobody holds an address on this host.\n");
  const rows = wanted.map(({ addresses, attached, holder, names }) => ({
    cells: [
      { text: holder },
      { text: attached ? "yes" : "no" },
      { text: addresses.join(" ") },
      { text: names.join(" ") },
    ],
  }));
  io.out(table(["HOLDER", "ATTACHED", "ADDRESSES", "NAMES"], rows, paint(io.colour)));
};
