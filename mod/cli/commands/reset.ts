/** `meshnet reset` */
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { runDirOf } from "../daemon_call.ts";
import { printable } from "../render.ts";

/** Stops the daemon and removes what meshnet made on this host; it asks before, and where nobody can be asked it wants to be
 * told by --yes. */
export const run: CommandRun = async (invocation, io): Promise<number | void> => {
  const { force, "dry-run": dry, "keep-state": keep, yes, ...given } = invocation.given;
  const keepState = keep === true;
  const flags = { ...given, "run-dir": runDirOf(invocation, io) };
  if (dry === true && yes === true) {
    throw new MeshnetError("usage/bad-option", "Cannot use --dry-run with --yes", {
      hint: "--dry-run shows what would be done; --yes does it without a question",
    });
  }
  if (dry !== true && yes !== true && !io.canAsk) {
    throw new MeshnetError(
      "usage/bad-option",
      "Cannot reset without a question: there is no terminal to ask on",
      {
        hint: "Add --yes: `meshnet reset --yes`; `meshnet reset --dry-run` shows what it would do",
      },
    );
  }
  if (yes !== true) {
    const { previewReset } = await import("../../daemon/reset/preview.ts");
    const lines = await previewReset(flags, { keepState });
    if (lines.length > 0) io.out("`meshnet reset` will on this host:\n");
    for (const line of lines) io.out(printable(`  ${line}`) + "\n");
    if (dry === true) {
      return io.out(lines.length > 0 ? "Nothing was changed.\n" : "Nothing of meshnet is on this host.\n");
    }
    if (lines.length > 0 && !io.ask("Do this?")) {
      io.err("Nothing was changed.\n");
      return 1;
    }
  }
  const { resetHost } = await import("../../daemon/reset/reset.ts");
  await resetHost(flags, {
    force: force === true,
    keepState,
    say: (line) => io.tell(`${line}\n`),
  });
};
