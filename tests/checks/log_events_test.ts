/** The list of events is complete and has none too many: the compiler sees to the first, this to the second. */
import { LOG_EVENTS } from "../../mod/core/log_events.ts";
import { noFindings, programFiles, visit } from "./tree.ts";

const LIST = "mod/core/log_events.ts";

Deno.test("every event of the list is logged somewhere, and stands there once", () => {
  const literals = new Set<unknown>();
  for (const file of programFiles.filter(({ path }) => path !== LIST)) {
    visit(file, (node) => {
      if (node.type === "Literal") literals.add(node.value);
    });
  }
  const names = Object.values(LOG_EVENTS).flatMap((events) => Object.keys(events));
  noFindings([
    ...names.filter((name) => !literals.has(name)).map((name) => `${name}: nobody logs it`),
    ...names.filter((name, i) => names.indexOf(name) !== i).map((name) => `${name}: it is there twice`),
  ]);
});
