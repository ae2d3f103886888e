/** What the shells of this folder are handed: the kernel in small pieces, all synchronous. */
import type { Logger, NetlinkSocket, Random, Store } from "../core/ports.ts";
import type { NamespaceProbe } from "./target.ts";

/** The ports of the switch on this host that are interfaces. */
export interface SwitchPorts {
  /** Whether an interface is a port. */
  has(name: string): boolean;
  /** Makes an interface a port; one that is a port stays one. */
  add(name: string): void;
  /** Ends that; fine when it is none. */
  remove(name: string): void;
}

/** Settings below /proc/sys, in the daemon's namespace (`undefined`) or another. */
export interface Sysctl {
  /** The value without its line end; undefined when there is no such setting. */
  read(namespacePath: string | undefined, key: string): string | undefined;
  /** Writes a value; throws when that is not allowed or there is no such setting. */
  write(namespacePath: string | undefined, key: string, value: string): void;
}

/** Everything attaching needs of its surroundings. */
export interface AttachAdapters {
  readonly store: Store;
  readonly random: Random;
  readonly log: Logger;
  readonly probe: NamespaceProbe;
  readonly ports: SwitchPorts;
  readonly sysctl: Sysctl;
  /** Opens an rtnetlink socket in a namespace, or with `undefined` in the daemon's own. */
  openRoute(namespacePath: string | undefined): NetlinkSocket;
  /** Sends whole frames out of an interface in a namespace. */
  sendFrames(namespacePath: string, name: string, frames: readonly Uint8Array<ArrayBuffer>[]): void;
  /** Is told of a target that is gone for good and was forgotten. */
  forgotten(target: string): void;
  /** Runs `work` once, `ms` milliseconds from now; it may never run when the process ends before. */
  later(ms: number, work: () => void): void;
  /** A process in the daemon's network namespace, by its number in the daemon's pid namespace: the daemon itself. */
  readonly pid: number;
}
