/** The source tree as the checks see it: files, and what each imports and names, from Deno's own parser. */
import { root } from "../../mod/tasks/run.ts";

/** A source file. */
export interface SourceFile {
  /** Path below the project's folder. */
  readonly path: string;
  readonly text: string;
}

/** One import or re-export. */
export interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  /** `import("...")`: the module is loaded when it is reached. */
  readonly lazy: boolean;
}

/** A node of the syntax tree; the checks look at few kinds of them. */
export interface Node {
  readonly type: string;
  readonly range: readonly [number, number];
  readonly parent?: Node;
  readonly [field: string]: unknown;
}

/** Every file below some folders (or the file itself), by path; build results and vectors are not source. */
export function listFiles(below: readonly string[], ending: string): readonly SourceFile[] {
  const found: SourceFile[] = [];
  const walk = (path: string): void => {
    for (const entry of Deno.readDirSync(`${root}/${path}`)) {
      const inner = path === "" ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory) {
        if (!/^(dist|node_modules|\.git|\.cache|tests\/vectors)$/.test(inner)) walk(inner);
      } else if (inner.endsWith(ending)) found.push({ path: inner, text: read(inner) });
    }
  };
  for (const path of below) {
    if (path.endsWith(ending) && path !== "") found.push({ path, text: read(path) });
    else walk(path);
  }
  return found.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** The text of a file below the project's folder. */
export function read(path: string): string {
  return Deno.readTextFileSync(`${root}/${path}`);
}

/** The program itself: everything that ends up in the built file, and the tasks. */
export const programFiles: readonly SourceFile[] = listFiles(["main.ts", "mod", "ffi"], ".ts");

/** Calls `look` with each node of a file's syntax tree. */
export function visit(file: SourceFile, look: (node: Node) => void): void {
  const rule = { create: () => ({ "*": (node: unknown) => look(node as Node) }) };
  Deno.lint.runPlugin({ name: "checks", rules: { look: rule } }, file.path, file.text);
}

/** What a file imports and re-exports. */
export function importsOf(file: SourceFile): readonly Import[] {
  const found: Import[] = [];
  visit(file, (node) => {
    const specifier = (node.source as { value?: unknown } | null | undefined)?.value;
    if (typeof specifier !== "string") return;
    const typeOnly = node.importKind === "type" || node.exportKind === "type";
    found.push({ specifier, typeOnly, lazy: node.type === "ImportExpression" });
  });
  return found;
}

/** The file below the project's folder that a relative specifier leads to; undefined for a package. */
export function resolve(from: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${from.path}`).pathname.slice(1);
}

/** `path:line` of a position in a file. */
export function at(file: SourceFile, node: Node): string {
  return `${file.path}:${file.text.slice(0, node.range[0]).split("\n").length}`;
}

/** Fails with a list, one finding a line, if there is any. */
export function noFindings(findings: readonly string[]): void {
  if (findings.length > 0) throw new Error(`${findings.length} findings:\n${findings.join("\n")}`);
}

/** A name that a file imports or passes on. */
export interface NamedImport {
  readonly file: string;
  /** `path name` of what is imported. */
  readonly key: string;
  /** `path name` under which the file passes it on; undefined for an import. */
  readonly as: string | undefined;
}

/** Names that files import or pass on from files of this project. Of a module that comes as a whole (`import *`,
 * `import()`), a file uses each name that it mentions. */
export function namedImports(files: readonly SourceFile[]): readonly NamedImport[] {
  const found: NamedImport[] = [];
  for (const file of files) {
    const mentioned = new Set<string>();
    const whole = new Set<string>();
    visit(file, (node) => {
      if (node.type === "Identifier") mentioned.add(node.name as string);
      const specifier = (node.source as { value?: unknown } | null | undefined)?.value;
      const from = typeof specifier === "string" ? resolve(file, specifier) : undefined;
      if (from === undefined) return;
      for (const { type, imported, local, exported } of (node.specifiers ?? [{ type: "" }]) as Specifier[]) {
        if (type === "ImportSpecifier") {
          found.push({ file: file.path, key: `${from} ${imported!.name}`, as: undefined });
        } else if (type === "ExportSpecifier") {
          found.push({
            file: file.path,
            key: `${from} ${local!.name}`,
            as: `${file.path} ${exported!.name}`,
          });
        } else whole.add(from);
      }
    });
    for (const from of whole) {
      for (const name of mentioned) found.push({ file: file.path, key: `${from} ${name}`, as: undefined });
    }
  }
  return found;
}

/** A specifier of an import or export; which names it has depends on its type. */
interface Specifier {
  readonly type: string;
  readonly imported?: { readonly name: string };
  readonly local?: { readonly name: string };
  readonly exported?: { readonly name: string };
}
