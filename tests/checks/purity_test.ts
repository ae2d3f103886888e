/** Protocol logic is synchronous, and time, chance and the world are its arguments. */
import { at, type Node, noFindings, programFiles, type SourceFile, visit } from "./tree.ts";

const IMPURE = /_shell\.ts$|^mod\/(sys|control|daemon|cli|tasks|plugin)\/|^ffi\/|^main\.ts$/;
/** Names that reach out of a core. `Math` is fine but for one function. */
const FORBIDDEN = new Set([
  ...["Deno", "Date", "performance", "crypto", "console", "globalThis", "process", "fetch", "Worker"],
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "Promise", "Atomics"],
]);
const MUTABLE = new Set(["Map", "Set", "WeakMap", "WeakSet"]);

const pureFiles = programFiles.filter((file) => !IMPURE.test(file.path));

function findings(look: (file: SourceFile, node: Node) => string | undefined): string[] {
  const found: string[] = [];
  for (const file of pureFiles) {
    visit(file, (node) => {
      const text = look(file, node);
      if (text !== undefined) found.push(`${at(file, node)}: ${text}`);
    });
  }
  return [...new Set(found)];
}

/** Whether an identifier is a property's or a type's name, not a use of the global. */
function isMereName(node: Node): boolean {
  const parent = node.parent;
  if (parent === undefined) return false;
  const own = (child: unknown) => (child as Node | undefined)?.range?.[0] === node.range[0];
  if (parent.type === "MemberExpression") return own(parent.property) && parent.computed !== true;
  return /^(Property|TSPropertySignature|PropertyDefinition|MethodDefinition|TSMethodSignature)$/.test(
    parent.type,
  ) &&
    own(parent.key);
}

Deno.test("pure files use no clock, no chance, no I/O", () => {
  noFindings(findings((_, node) => {
    if (node.type === "MemberExpression") {
      const { object, property } = node as unknown as { object: Node; property: Node };
      if (object.name === "Math" && property.name === "random") return "uses Math.random";
    }
    if (node.type !== "Identifier" || !FORBIDDEN.has(node.name as string) || isMereName(node)) {
      return undefined;
    }
    return `uses ${node.name}`;
  }));
});

Deno.test("pure files are synchronous", () => {
  noFindings(findings((_, node) => {
    if (node.type === "AwaitExpression" || node.type === "ForOfStatement" && node.await === true) {
      return "awaits";
    }
    return node.async === true && /Function/.test(node.type) ? "has an async function" : undefined;
  }));
});

Deno.test("pure files keep no state of their own", () => {
  noFindings(findings((_, node) => {
    if (node.type !== "VariableDeclaration") return undefined;
    const parent = node.parent!;
    if (parent.type !== "Program" && parent.type !== "ExportNamedDeclaration") return undefined;
    if (node.kind !== "const") return "has a mutable module variable";
    for (const declarator of node.declarations as Node[]) {
      const { id, init } = declarator as unknown as { id: Node; init: Node | null };
      const made = init?.type === "NewExpression" ? (init.callee as Node).name as string : "";
      if (MUTABLE.has(made) && id.typeAnnotation == null) {
        return `has a module-level ${made} that is not declared readonly`;
      }
    }
    return undefined;
  }));
});

Deno.test("native calls stay in the fenced yard", () => {
  const found: string[] = [];
  for (const file of programFiles.filter(({ path }) => !path.startsWith("ffi/"))) {
    visit(file, (node) => {
      if (node.type !== "MemberExpression") return;
      const { object, property } = node as unknown as { object: Node; property: Node };
      const name = String(property.name);
      if (object.name === "Deno" && /^(dlopen|Unsafe)/.test(name)) {
        found.push(`${at(file, node)}: Deno.${name}`);
      }
    });
  }
  noFindings(found);
});
