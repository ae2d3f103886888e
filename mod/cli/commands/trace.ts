/** `meshnet trace` */
import type { CommandRun } from "../command.ts";
import { pathCommand } from "../path_command.ts";
import { renderTrace } from "../render_doctor.ts";

/** Each host on the way has some seconds, twice. */
const PATIENCE_MS = 120_000;

/** Says where a frame would go and does go, and who swallowed it. */
export const run: CommandRun = pathCommand({ patienceMs: PATIENCE_MS, probe: true, render: renderTrace });
