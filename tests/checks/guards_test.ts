/** No error in a timer, a callback of the system or a promise that nobody waits for ends the daemon: each is guarded. */
import { at, type Node, noFindings, programFiles, type SourceFile, visit } from "./tree.ts";

/** What runs in commands only: there an error ends the command, in plain words. */
const COMMANDS = /^mod\/(cli|tasks)\/|^mod\/control\/client\.ts$|^mod\/daemon\/reset\//;
/** Calls that hand a callback to the system, and which of their arguments that is. */
const TAKERS: Readonly<Record<string, number>> = {
  ...{ setTimeout: 0, setInterval: 0, queueMicrotask: 0 },
  ...{ addEventListener: 1, addSignalListener: 1 },
};
/** What cannot fail: settling a promise, giving up a timer, closing what may be closed twice. */
const HARMLESS = new Set([
  "resolve",
  "reject",
  "done",
  "abort",
  "close",
  "clearTimeout",
  "removeEventListener",
]);

/** Places that need no guard, and why. */
const KNOWN: Readonly<Record<string, string>> = {
  "mod/control/folder_watch.ts #follow": "catches everything itself",
  "mod/control/http_server.ts refuse": "writes and closes, and catches both",
  "mod/control/http_server.ts late": "refuses or closes",
  "mod/control/served_socket.ts look": "catches what it tries, and tries again later",
  "mod/daemon/threads/fence.ts onError": "it is the last guard itself",
  "mod/daemon/threads/fence.ts onRejection": "it is the last guard itself",
  "mod/daemon/supervisor.ts listener": "ends the process, or reads the peers anew, which catches everything",
  "mod/daemon/supervisor.ts reload": "catches everything itself",
  "mod/daemon/supervisor.ts logger": "leaves the process",
  "mod/daemon/control_api.ts parts": "settles a promise",
  "mod/daemon/threads/dataplane_worker.ts inbox": "settles a promise",
  "mod/daemon/threads/dataplane_worker.ts main": "catches everything itself",
  "mod/daemon/threads/names_worker.ts inbox": "settles a promise",
  "mod/daemon/threads/names_worker.ts main": "catches everything itself",
  "mod/mesh/tcp/socket_shell.ts #pump": "catches everything itself",
  "mod/mesh/tcp/tcp_shell.ts #read": "catches everything itself",
};

/** Timers that need no end, and why. */
const ENDLESS: Readonly<Record<string, string>> = {
  "mod/daemon/control_api.ts parts": "ends the daemon",
};

const files = programFiles.filter(({ path }) => path.startsWith("mod/") && !COMMANDS.test(path));

/** The last part of a name: `guard` of `this.faults.guard`, `#pump` of `this.#pump`. */
function nameOf(node: Node | undefined): string {
  if (node?.type === "MemberExpression") return nameOf(node.property as Node);
  if (node?.type === "PrivateIdentifier") return `#${node.name}`;
  return node?.type === "Identifier" ? node.name as string : "";
}

function isGuard(node: Node | null | undefined): boolean {
  return node?.type === "CallExpression" && nameOf(node.callee as Node) === "guard";
}

/** The calls in a callback's body, if it has nothing but one or a few. */
function callsOf(callback: Node): readonly Node[] {
  const body = callback.body as Node | undefined;
  if (body === undefined) return [];
  const statements = body.type === "BlockStatement" ? body.body as Node[] : [body];
  return statements.flatMap((statement) => {
    let node: Node | undefined = statement.type === "ExpressionStatement"
      ? statement.expression as Node
      : statement;
    if (node.type === "UnaryExpression") node = node.argument as Node;
    while (node.type === "ChainExpression") node = node.expression as Node;
    return [node];
  });
}

interface Names {
  /** Made by a guard, or harmless. */
  readonly safe: ReadonlySet<string>;
  /** Functions and methods that are async. */
  readonly asynchronous: ReadonlySet<string>;
}

function namesIn(file: SourceFile): Names {
  const safe = new Set(HARMLESS);
  const asynchronous = new Set<string>();
  visit(file, (node) => {
    if (node.type === "VariableDeclarator" && isGuard(node.init as Node | null)) {
      safe.add(nameOf(node.id as Node));
    }
    if (node.type === "AssignmentExpression" && isGuard(node.right as Node)) {
      safe.add(nameOf(node.left as Node));
    }
    const made = node.value as Node | undefined;
    if (node.type === "MethodDefinition" && made?.async === true) asynchronous.add(nameOf(node.key as Node));
    if (node.type === "FunctionDeclaration" && node.async === true) asynchronous.add(nameOf(node.id as Node));
  });
  const isSafe = (init: Node | null) =>
    init !== null && /Function/.test(init.type) && init.async !== true &&
    unguarded(init, { safe, asynchronous }) === undefined;
  visit(file, (node) => {
    if (node.type === "VariableDeclarator" && isSafe(node.init as Node | null)) {
      safe.add(nameOf(node.id as Node));
    }
  });
  return { safe, asynchronous };
}

/** The name under which a callback without a guard is found; undefined when it is safe. */
function unguarded(callback: Node | undefined, { safe }: Names): string | undefined {
  if (callback === undefined || isGuard(callback)) return undefined;
  if (/Function/.test(callback.type)) {
    const calls = callsOf(callback);
    const bad = calls.find((call) =>
      call.type !== "CallExpression" || !safe.has(nameOf(call.callee as Node))
    );
    return bad === undefined ? undefined : firstName(bad);
  }
  const name = callback.type === "CallExpression" ? nameOf(callback.callee as Node) : nameOf(callback);
  return safe.has(name) ? undefined : name;
}

function firstName(node: Node): string {
  if (node.type !== "CallExpression") return nameOf(node) || node.type;
  const callee = node.callee as Node;
  const object = callee.object as Node | undefined;
  return object?.type === "Identifier" ? nameOf(object) : nameOf(callee);
}

/** Whether the promise of a call is left alone, as in `void this.#read()`. */
function isLeft(node: Node): boolean {
  const { parent } = node;
  return parent?.type === "ExpressionStatement" ||
    parent?.type === "UnaryExpression" && parent.operator === "void";
}

/** Findings, each with what it is known by. To read all files takes a while. */
function once(find: () => readonly (readonly [key: string, place: string])[]): typeof find {
  let found: ReturnType<typeof find> | undefined;
  return () => found ??= find();
}

/** Timers that nobody can end, and that do more than settle a promise. */
const endless = once(() =>
  files.flatMap((file) => {
    const found: [string, string][] = [];
    visit(file, (node) => {
      if (node.type !== "CallExpression" || !/^set(Timeout|Interval)$/.test(nameOf(node.callee as Node))) {
        return;
      }
      const isKept = /Declarator|Assignment/.test(node.parent?.type ?? "");
      let [work] = node.arguments as readonly Node[];
      if (isGuard(work)) work = (work!.arguments as readonly Node[]).at(-1);
      const calls = work !== undefined && /Function/.test(work.type) ? callsOf(work) : [];
      const name = nameOf(work) || calls.map(firstName).join(" ");
      if (!isKept && name !== "resolve") found.push([`${file.path} ${name}`, at(file, node)]);
    });
    return found;
  })
);

const look = once(() =>
  files.flatMap((file) => {
    const names = namesIn(file);
    const found: [string, string][] = [];
    const note = (name: string, node: Node) => void found.push([`${file.path} ${name}`, at(file, node)]);
    visit(file, (node) => {
      if (node.type === "AssignmentExpression" && /^on(message|error)$/.test(nameOf(node.left as Node))) {
        const name = unguarded(node.right as Node, names);
        if (name !== undefined) note(name, node);
      }
      if (node.type !== "CallExpression") return;
      const callee = nameOf(node.callee as Node);
      const position = Object.hasOwn(TAKERS, callee) ? TAKERS[callee] : undefined;
      const name = position === undefined
        ? undefined
        : unguarded((node.arguments as readonly Node[])[position], names);
      if (name !== undefined) note(name, node);
      if (names.asynchronous.has(callee) && isLeft(node)) note(callee, node);
      if (callee === "then" && (node.arguments as Node[]).length === 1 && isLeft(node)) note("then", node);
    });
    return found;
  })
);

Deno.test("timers, callbacks of the system and promises are guarded", () => {
  noFindings(
    look().filter(([key]) => !Object.hasOwn(KNOWN, key))
      .map(([key, place]) => `${place}: ${key.split(" ")[1]} has no guard, see Faults in mod/core/faults.ts`),
  );
});

Deno.test("every known place without a guard is there", () => {
  const found = new Set(look().map(([key]) => key));
  noFindings(Object.keys(KNOWN).filter((key) => !found.has(key)));
});

Deno.test("no timer outlives what it is of", () => {
  noFindings(
    endless().filter(([key]) => !Object.hasOwn(ENDLESS, key))
      .map(([key, place]) =>
        `${place}: nobody can end the timer of ${key.split(" ")[1]}, see Timers in mod/sys/clock.ts`
      ),
  );
});

Deno.test("every known timer without an end is there", () => {
  const found = new Set(endless().map(([key]) => key));
  noFindings(Object.keys(ENDLESS).filter((key) => !found.has(key)));
});
