/** Whether the mesh's ports are free. */
import { type Ip, isIpv4 } from "../../core/addr.ts";
import { ERRNO } from "../../core/errno.ts";
import { errnoOf, MeshnetError, messageOf } from "../../core/errors.ts";

/** Where the mesh listens. */
export interface ListenPlace {
  /** TCP port of the mesh, and UDP port of traffic in user space. */
  readonly port: number;
  /** Address to listen on; undefined: all. */
  readonly host: Ip | undefined;
}

/** "up/port-taken" when nobody could listen on the TCP port, "usage/bad-option" when the address is not ours. */
export function tcpPortTaken({ host, port }: ListenPlace): MeshnetError | undefined {
  try {
    Deno.listen({ transport: "tcp", hostname: host ?? "0.0.0.0", port }).close();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.AddrNotAvailable) {
      return new MeshnetError(
        "usage/bad-option",
        `Cannot listen on ${host}: this host does not have that address`,
        { hint: "List the addresses of this host with `ip addr`", cause: thrown },
      );
    }
    const why = thrown instanceof Deno.errors.AddrInUse ? "another program uses it" : messageOf(thrown);
    return new MeshnetError("up/port-taken", `Cannot listen on TCP ${where({ host, port })}: ${why}`, {
      hint: `See who does with: ss -ltnp 'sport = :${port}'; or choose another port with --port`,
      cause: thrown,
    });
  }
}

/** "up/port-taken" when traffic in user space could not have its UDP port. `open` opens a socket on it, or throws a
 * MeshnetError. That this host lacks the address is for tcpPortTaken() to say. */
export function udpPortTaken(place: ListenPlace, open: () => Disposable): MeshnetError | undefined {
  try {
    open()[Symbol.dispose]();
    return undefined;
  } catch (thrown) {
    if (errnoOf(thrown) === ERRNO.EADDRNOTAVAIL) return undefined;
    const why = errnoOf(thrown) === ERRNO.EADDRINUSE ? "another program uses it" : messageOf(thrown);
    return new MeshnetError("up/port-taken", `Cannot use UDP ${where(place)}: ${why}`, {
      hint: `See who does with: ss -lunp 'sport = :${place.port}'; or choose another port with --port`,
      cause: thrown,
    });
  }
}

/** The same for people who look: with the program that has the port, as far as it can be seen. */
export async function withOwner(
  fault: MeshnetError | undefined,
  port: number,
): Promise<MeshnetError | undefined> {
  if (fault?.code !== "up/port-taken") return fault;
  const { portHolder } = await import("../host/port_owner.ts"); // no start shall load it
  const holder = portHolder(port, "ipv4", undefined, ["tcp"]);
  if (holder === undefined) return fault;
  return new MeshnetError(fault.code, fault.message.replace("another program", holder.name), {
    hint: `End that with \`kill ${holder.pid}\`; or choose another port with --port, on all hosts alike`,
    cause: fault,
  });
}

/** "up/port-taken" when names could not be answered on an address. `open` opens a socket on it, or throws. */
export async function namePortTaken(
  { host, port }: { readonly host: Ip; readonly port: number },
  open: () => Disposable,
): Promise<MeshnetError | undefined> {
  try {
    open()[Symbol.dispose]();
    return undefined;
  } catch (thrown) {
    const { portHolder } = await import("../host/port_owner.ts"); // no start shall load it
    const holder = portHolder(port, isIpv4(host) ? "ipv4" : "ipv6");
    const user = holder?.name ?? "another program";
    const why = errnoOf(thrown) === ERRNO.EADDRINUSE ? `${user} uses it` : messageOf(thrown);
    const end = holder === undefined
      ? `See who has it with: ss -lunp 'sport = :${port}'; stop that`
      : `\`kill ${holder.pid}\` ends that`;
    return new MeshnetError("up/port-taken", `Names would not be answered on ${host} port ${port}: ${why}`, {
      hint: `${end}; or choose another address with --dns-listen`,
      cause: thrown,
    });
  }
}

function where({ host, port }: ListenPlace): string {
  return host === undefined ? `port ${port}` : `${host} port ${port}`;
}
