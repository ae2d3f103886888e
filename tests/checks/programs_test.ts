/** What tests and tasks call is installed by the setup task, since nothing else is called. */
import assert from "node:assert/strict";
import { ESSENTIAL, PACKAGES, type Purpose } from "../../mod/tasks/packages.ts";
import { at, listFiles, type Node, noFindings, visit } from "./tree.ts";

/** The one place that starts programs; it asks the list. */
const STARTER = "mod/tasks/run.ts";

Deno.test(`only command() of ${STARTER} starts programs`, () => {
  const found: string[] = [];
  for (const file of listFiles([""], ".ts")) {
    if (file.path === STARTER) continue;
    if (/["'](node:)?child_process["']/.test(file.text)) found.push(`${file.path}: uses node:child_process`);
    visit(file, (node) => {
      if (node.type !== "MemberExpression") return;
      const { object, property } = node as unknown as { object: Node; property: Node };
      if (object.name !== "Deno" || !/^(Command|spawn|run$)/.test(String(property.name))) return;
      found.push(
        `${at(file, node)}: start programs by command() of ${STARTER}, which knows the list of them`,
      );
    });
  }
  noFindings(found);
});

Deno.test("every program is listed for one package", () => {
  const owners = new Map<string, Set<string>>();
  const own = (program: string, apt: string) =>
    owners.set(program, (owners.get(program) ?? new Set()).add(apt));
  for (const [apt, programs] of Object.entries(ESSENTIAL)) programs.forEach((program) => own(program, apt));
  for (const purpose of Object.keys(PACKAGES) as Purpose[]) {
    for (const { apt, programs = [] } of PACKAGES[purpose]) programs.forEach((program) => own(program, apt));
  }
  noFindings([...owners].filter(([, apts]) => apts.size > 1).map(([name, apts]) => `${name}: ${[...apts]}`));
  assert.ok(owners.size > 50);
});
