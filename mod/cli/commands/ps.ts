/** `meshnet ps` */
import type { HolderReport } from "../../control/address_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { paint, targetText } from "../render.ts";
import { table } from "../table.ts";
import { stateText } from "../render_names.ts";

/** Lists holders of addresses. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const all = await call<readonly HolderReport[]>({ method: "GET", path: "/ps" }, { invocation, io });
  const stranger = invocation.args.find((word) => !all.some((one) => isCalled(one, word)));
  if (stranger !== undefined) {
    throw new MeshnetError("attach/not-attached", `Cannot list ${stranger}: it holds no address here`, {
      hint: "`meshnet ps` lists all that do",
    });
  }
  const { args } = invocation;
  const wanted = all.filter((one) => args.length === 0 || args.some((word) => isCalled(one, word)));
  if (invocation.on("json")) return io.out(json(wanted));
  if (wanted.length === 0) return io.out("Nobody holds an address on this host.\n");
  const look = paint(io.colour, io.size?.columns);
  const states = new Map(wanted.map((one) => [one, stateText(one)]));
  const rows = wanted.map((one) => {
    const { addresses, attached, health, holder, name, names, trouble } = one;
    const state = states.get(one);
    return {
      cells: [
        { text: targetText({ target: holder, name }) },
        { text: attached ? "yes" : "no" },
        { text: addresses.join(" ") },
        { text: names.join(" ") },
        ...state === undefined ? [] : [{
          text: state,
          paint: trouble !== null || health?.healthy === false ? look.bad : look.good,
        }],
      ],
    };
  });
  const more = [...states.values()].some((state) => state !== undefined) ? ["HEALTH"] : [];
  io.out(table(["HOLDER", "ATTACHED", "ADDRESSES", "NAMES", ...more], rows, look));
};

/** Whether people may call a holder so: a container also by its name, or by the begin of its id. */
function isCalled({ holder, name }: HolderReport, word: string): boolean {
  if (holder === word) return true;
  const [, id] = /^container:([0-9a-f]{64})$/.exec(holder) ?? [];
  const plain = word.replace(/^container:/, "");
  return id !== undefined && (plain === name || plain.length >= 4 && id.startsWith(plain));
}
