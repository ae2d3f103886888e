/** Exports are for somebody: the program, or a test of what the program uses. */
import { listFiles, namedImports, noFindings, programFiles, type SourceFile, visit } from "./tree.ts";

/** Each command exports the same, for the program to run whatever command its table loads (`path name`). */
const BY_CONVENTION = /^mod\/cli\/commands\/\w+\.ts run$/;
/** Other exports that stay although no import names them, and why. */
const ALLOWED: Readonly<Record<string, string>> = {};

/** What a file declares and exports. */
interface Exported {
  readonly key: string;
  /** Whether the file itself uses it; it is exported for tests then, or because a signature names it. */
  readonly usedInside: boolean;
}

interface Named {
  readonly name: string;
}

function exportsOf(file: SourceFile): readonly Exported[] {
  const names = new Set<string>();
  const mentions = new Map<string, number>();
  visit(file, (node) => {
    if (node.type === "Identifier") {
      mentions.set(node.name as string, (mentions.get(node.name as string) ?? 0) + 1);
    }
    if (node.type !== "ExportNamedDeclaration" || node.declaration === null) return;
    const { id, declarations } = node.declaration as { id?: Named; declarations?: readonly { id: Named }[] };
    for (const one of declarations?.map((each) => each.id) ?? [id!]) names.add(one.name);
  });
  return [...names].map((name) => ({ key: `${file.path} ${name}`, usedInside: mentions.get(name)! > 1 }));
}

const exported = programFiles.flatMap(exportsOf);
const inProgram = namedImports(programFiles);
const everywhere = [...inProgram, ...namedImports(listFiles(["tests"], ".ts"))];
const passedOn = new Map(inProgram.flatMap(({ key, as }) => as === undefined ? [] : [[as, key]]));

/** Where a name that files pass on comes from. */
function origin(key: string): string {
  for (let from = passedOn.get(key); from !== undefined; from = passedOn.get(key)) key = from;
  return key;
}

const used = new Set(inProgram.filter(({ as }) => as === undefined).map(({ key }) => origin(key)));

Deno.test("the program uses what it exports", () => {
  noFindings(
    exported.filter(({ key, usedInside }) =>
      !usedInside && !used.has(key) && !BY_CONVENTION.test(key) && !Object.hasOwn(ALLOWED, key)
    )
      .map(({ key }) => `${key}: nobody but tests uses it`),
  );
});

Deno.test("what a file passes on, somebody takes", () => {
  const taken = new Set(everywhere.map(({ key }) => key));
  noFindings([...passedOn.keys()].filter((key) => !taken.has(key)));
});

Deno.test("an exported name stands for one thing", () => {
  const byName = Map.groupBy(
    exported.filter(({ key }) => !BY_CONVENTION.test(key)),
    ({ key }) => key.split(" ")[1]!,
  );
  noFindings(
    [...byName].filter(([, all]) => all.length > 1)
      .map(([name, all]) => `${name}: ${all.map(({ key }) => key.split(" ")[0]).join(", ")}`),
  );
});

Deno.test("what may stay unused is there and unused", () => {
  const unused = new Set(exported.map(({ key }) => key).filter((key) => !used.has(key)));
  noFindings(Object.keys(ALLOWED).filter((key) => !unused.has(key)));
});
