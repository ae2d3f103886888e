/** What `attach` is pointed at: a network namespace, by name, by path, by one of its processes or by its container. */
import { MeshnetError, messageOf } from "../core/errors.ts";

/** A target as people write it, taken apart. */
export type AttachTarget =
  | { readonly kind: "name"; readonly text: string; readonly path: string }
  | { readonly kind: "path"; readonly text: string; readonly path: string }
  | { readonly kind: "process"; readonly text: string; readonly path: string; readonly pid: number }
  /** A container of an engine by its whole id. Where its namespace is, the engine knows. */
  | { readonly kind: "container"; readonly text: string; readonly id: string };

/** Where a container stands. `unknown`: nobody can be asked, and it may run or not. */
export type ContainerStanding =
  | { readonly kind: "running"; readonly pid: number; readonly name: string }
  | { readonly kind: "stopped"; readonly name: string }
  | { readonly kind: "gone" }
  | { readonly kind: "unknown"; readonly name: string | undefined };

/** What a file is, for telling namespaces apart: two names of one namespace give the same pair. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

/** What is asked of the host about namespaces. Synchronous. */
export interface NamespaceProbe {
  /** Identity of the file at `path`, links followed; undefined when there is nothing. Throws for other failures. */
  identify(path: string): FileIdentity | undefined;
  /** The daemon's own network namespace. */
  own(): FileIdentity;
  /** What tells a process from a later one with the same number, across reboots; undefined when it is gone. */
  processMark(pid: number): string | undefined;
  /** Where the container with that id stands. */
  container(id: string): ContainerStanding;
}

/** A network namespace that exists now. */
export interface ResolvedTarget {
  readonly target: AttachTarget;
  /** Where it can be opened now. */
  readonly path: string;
  readonly namespace: FileIdentity;
  /** For processes, `processMark` at this moment. */
  readonly processMark: string | undefined;
}

/** Where `ip netns` keeps namespaces by name. */
const NAMED = "/run/netns";
const FORMS =
  "Use a container's name or id, netns:NAME (see `ip netns list`), pid:N, or the path of a namespace " +
  "such as /proc/N/ns/net";
/** What a target of that kind begins with. */
export const CONTAINER_PREFIX = "container:";

function refuse(message: string, hint: string): MeshnetError {
  return new MeshnetError("attach/bad-target", message, { hint });
}

function malformed(message: string, hint: string): MeshnetError {
  return new MeshnetError("usage/bad-target", message, { hint });
}

/** Parses a target. Throws "usage/bad-target" for a text that is none. Containers come by their whole ids. */
export function parseAttachTarget(text: string): AttachTarget {
  if (text.startsWith("netns:")) {
    const name = text.slice("netns:".length);
    if (/^[^/\0]{1,255}$/.test(name) && name !== "." && name !== "..") {
      return { kind: "name", text, path: `${NAMED}/${name}` };
    }
    throw malformed(
      `Cannot use target ${text}: ${name === "" ? "the name is empty" : "a name has no slash"}`,
      FORMS,
    );
  }
  if (text.startsWith("pid:")) {
    const pid = /^pid:([1-9][0-9]{0,9})$/.exec(text)?.[1];
    if (pid !== undefined) return { kind: "process", text, path: `/proc/${pid}/ns/net`, pid: Number(pid) };
    throw malformed(`Cannot use target ${text}: a process id is a positive number`, FORMS);
  }
  if (text.startsWith("/") && !text.includes("\0")) return { kind: "path", text, path: text };
  if (text === "") throw malformed("Cannot use an empty target", FORMS);
  if (/^(?:(?:ip|net):.*|[0-9a-f.:]+\/[0-9]+)$/i.test(text)) {
    throw malformed(`Cannot use target ${text}: it is an address`, `Name the target last. ${FORMS}`);
  }
  const id = /^container:([0-9a-f]{64})$/.exec(text)?.[1];
  if (id !== undefined) return { kind: "container", text, id };
  throw malformed(`Cannot use target ${text}: it is neither a namespace nor a container`, FORMS);
}

/** Whether a text names a container in people's words: what is nothing else. Then the engine is asked for its id. */
export function isContainerName(text: string): boolean {
  return /^(?:container:)?[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text) && !/^container:[0-9a-f]{64}$/.test(text);
}

/** Whether two files are the same. */
export function sameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.device === b.device && a.inode === b.inode;
}

/** Finds the namespace of a target; undefined when the target is gone. Throws "attach/bad-target" when it is there
 * but is not a network namespace that can be attached. */
export function findTarget(target: AttachTarget, probe: NamespaceProbe): ResolvedTarget | undefined {
  let namespace: FileIdentity | undefined;
  const path = pathOf(target, probe);
  if (path === undefined) return undefined;
  try {
    namespace = probe.identify(path);
  } catch (thrown) {
    throw refuse(
      `Cannot look at namespace ${target.text}: ${messageOf(thrown)}`,
      "The daemon must be allowed to see it: run meshnet as root, outside containers",
    );
  }
  if (namespace === undefined) return undefined;
  const own = probe.own();
  if (sameFile(namespace, own)) {
    throw refuse(
      `Cannot use target ${target.text}: it is the host's own network namespace`,
      "Choose a container or a namespace of its own; `meshnet expose` gives this host itself an address",
    );
  }
  // All namespaces are files of one pseudo file system; anything else cannot be a namespace.
  if (namespace.device !== own.device) {
    throw refuse(`Cannot use target ${target.text}: ${path} is not a network namespace`, FORMS);
  }
  const processMark = target.kind === "process" ? probe.processMark(target.pid) : undefined;
  if (target.kind === "process" && processMark === undefined) return undefined;
  return { target, path, namespace, processMark };
}

function pathOf(target: AttachTarget, probe: NamespaceProbe): string | undefined {
  if (target.kind !== "container") return target.path;
  const standing = probe.container(target.id);
  return standing.kind === "running" ? `/proc/${standing.pid}/ns/net` : undefined;
}

/** What a target that is not there may do. `unknown`: it may be there all the same. */
export type Absence = "returns" | "gone" | "unknown";

/** Whether a target that was not found may come back: names given with `ip netns add` are made anew at each boot, and
 * containers are started again. */
export function absenceOf(target: AttachTarget, probe: NamespaceProbe): Absence {
  switch (target.kind) {
    case "name":
      return "returns";
    case "container": {
      const { kind } = probe.container(target.id);
      return kind === "gone" || kind === "unknown" ? kind : "returns";
    }
    case "path":
    case "process":
      return "gone";
  }
}

/** Finds the namespace of a target. Throws "attach/bad-target", saying how to see what there is. */
export function resolveTarget(target: AttachTarget, probe: NamespaceProbe): ResolvedTarget {
  const found = findTarget(target, probe);
  if (found !== undefined) return found;
  switch (target.kind) {
    case "name":
      throw refuse(
        `Cannot find namespace ${target.text}: there is no ${target.path}`,
        "List namespaces with `ip netns list`, make one with `ip netns add NAME`",
      );
    case "process":
      throw refuse(
        `Cannot find process ${target.pid}: it does not run, or cannot be seen from here`,
        "List processes with `ps -e`; after a restart a container's process has another number",
      );
    case "container":
      throw refuse(
        `Cannot attach container ${nameOf(target.id, probe)}: it does not run`,
        "Start it first; it then keeps its addresses when it is started again",
      );
    case "path":
      throw refuse(
        `Cannot find namespace: there is no ${target.path}`,
        "List namespaces with `lsns -t net`; docker keeps its own under /run/docker/netns",
      );
  }
}

/** What people call a container. */
function nameOf(id: string, probe: NamespaceProbe): string {
  const standing = probe.container(id);
  return (standing.kind === "gone" ? undefined : standing.name) ?? id.slice(0, 12);
}
