/** One router in each network namespace: two would both take the datapath's upcalls and undo each other for ever. */
import { MeshnetError } from "../../core/errors.ts";
import { type ListeningSocket, listeningSockets, ownerOf, type SocketOwner } from "./socket_owner.ts";

/** A namespace that is held. Disposing it lets go; so does the kernel with the process. */
export interface NamespaceClaim extends Disposable {
  /** Another user's program has the name that this router wanted, to no effect; undefined: nobody has. */
  readonly squatter: SocketOwner | undefined;
}

/**
 * Throws "up/already-running" while another router works in this network namespace, whatever its folders and port are.
 *
 * A router listens on an abstract Unix socket, which the kernel keeps for each network namespace. It is called
 * `@meshnet/DATAPATH`, or longer where somebody has that name. Any user may take such names. So a name counts only if its
 * owner is root, the user of this process, or cannot be seen.
 */
export function claimNamespace(
  datapath: string,
  owner: (socket: ListeningSocket) => SocketOwner | undefined = ownerOf,
): NamespaceClaim {
  const base = nameOf(datapath);
  using undo = new DisposableStack();
  const own = listenOn(undo, base) ?? listenOn(undo, `${base}/${crypto.randomUUID()}`);
  let squatter: SocketOwner | undefined;
  for (const socket of listeningSockets()) {
    if (!isClaim(socket, base)) continue;
    if (socket.name === `@${own}`) continue;
    const found = owner(socket);
    if (found !== undefined && found.uid !== 0 && found.uid !== Deno.uid()) squatter = found;
    else throw otherRouter(found);
  }
  const held = undo.move();
  return { squatter, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

/** The process of the router that holds this network namespace, as far as it can be seen. */
export function routerProcess(datapath: string): number | undefined {
  const base = nameOf(datapath);
  const owners = listeningSockets().filter((socket) => isClaim(socket, base)).map(ownerOf);
  return owners.find((owner) => owner !== undefined && (owner.uid === 0 || owner.uid === Deno.uid()))?.pid;
}

function nameOf(datapath: string): string {
  return `meshnet/${datapath}`;
}

function isClaim({ name }: ListeningSocket, base: string): boolean {
  return name === `@${base}` || name.startsWith(`@${base}/`);
}

/** The name, if it could be had; undefined: somebody has it. */
function listenOn(owner: DisposableStack, name: string): string | undefined {
  try {
    owner.use(Deno.listen({ transport: "unix", path: `\0${name}` }));
    return name;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.AddrInUse) return undefined;
    throw thrown;
  }
}

function otherRouter(found: SocketOwner | undefined): MeshnetError {
  const process = found === undefined ? "" : ` (process ${found.pid})`;
  const message = `Another router${process} works in this network namespace already`;
  return new MeshnetError("up/already-running", message, {
    hint: found === undefined
      ? "Find it with: ss -xlp | grep @meshnet/; it may be in a container that shares this host's network"
      : "Stop it with `meshnet down` and its --run-dir",
  });
}
