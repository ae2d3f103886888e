/** Where containers reach the name server of their host: the same on every host, so no lease is needed, and what a
 * container was told stays right when it moves. */
import type { Ip, Mac } from "./addr.ts";

/** Its address. Link-local, so no network can have it as its own; none of those that clouds and other networks of
 * containers use for services of theirs. */
export const NAME_SERVER_IP = "169.254.53.53" as Ip;
/** Its Ethernet address, by which a switch knows it: frames with it never leave a host, and none is taken from another. */
export const NAME_SERVER_MAC = 0x02_6d_65_73_68_35 as Mac;
/** Where an engine's own name server is, in the namespace of each container in networks of its users. */
export const ENGINE_SERVER = "127.0.0.11" as Ip;
/** Where we take the questions for it, in the same namespace: a port that nobody draws, as programs of the container may
 * want all others. */
export const INSIDE = { ip: "127.53.53.53" as Ip, port: 61_053 } as const;
/** The host's end of its interface, a port of the switch. The other end has the same name, in a namespace of its own. */
export const NAME_PORT = "mesh-dns";
