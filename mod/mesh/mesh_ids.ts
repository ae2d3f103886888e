/** Ids by which the router's rooms and its shell name the same thing. */
import type { Brand } from "../core/brand.ts";

/** One TCP connection of the shell; never reused. */
export type SocketId = Brand<number, "SocketId">;

/** One look-up of a name, or one dial with the connection it leads to; never reused. */
export type AttemptId = Brand<number, "AttemptId">;
