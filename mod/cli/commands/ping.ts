/** `meshnet ping` */
import type { CommandRun } from "../command.ts";
import { pathCommand } from "../path_command.ts";
import { renderPing } from "../render_doctor.ts";

/** Each host on the way has some seconds. */
const PATIENCE_MS = 60_000;

/** Names every hop to an address, a name or a host, its time, and where it ends. */
export const run: CommandRun = pathCommand({ patienceMs: PATIENCE_MS, probe: false, render: renderPing });
