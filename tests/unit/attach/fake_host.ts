/** A host with namespaces to attach: the adapters of Attachments on a fake kernel. */
import {
  type AttachAdapters,
  Attachments,
  type AttachOptions,
  BridgePorts,
  type ContainerStanding,
  type SwitchPorts,
} from "../../../mod/attach/mod.ts";
import type { LogFields } from "../../../mod/core/ports.ts";
import { MemoryStore } from "../memory_store.ts";
import { seededRandom } from "../properties.ts";
import { FakeKernel } from "./fake_kernel.ts";

/** Options that most tests use. */
export const OPTIONS: AttachOptions = {
  mtu: 1376,
  interface: "ethmesh",
  multicastRoute: true,
  nameServer: true,
};

const BRIDGE = "meshnet";
/** Kind of the switch of hosts made from now on. */
let switchKind: "any" | "bridge" = "any";

/** Declares a test twice: on a host whose switch is told of ports, and on one with a Linux bridge. */
export function testOnSwitches(name: string, body: () => void): void {
  for (const kind of ["any", "bridge"] as const) {
    Deno.test(kind === "any" ? name : `${name}, with a bridge`, () => {
      switchKind = kind;
      body();
    });
  }
}

/** One host. Namespaces are added by path. */
export class FakeHost {
  readonly kernel = new FakeKernel();
  readonly store = new MemoryStore();
  readonly logged: string[] = [];
  /** Identity of what is at a path. */
  readonly files = new Map<string, { device: number; inode: number }>();
  /** What was put off, in the order of asking. */
  readonly pending: { readonly ms: number; readonly work: () => void }[] = [];
  readonly processes = new Map<number, string>();
  /** Where containers stand, by id; others are gone. */
  readonly containers = new Map<string, ContainerStanding>();
  readonly own = { device: 4, inode: 1 };
  readonly #ports: SwitchPorts;
  #inode = 2;

  constructor() {
    const { kernel } = this;
    if (switchKind === "bridge") kernel.add("", BRIDGE, "bridge");
    this.#ports = switchKind === "bridge"
      ? new BridgePorts(kernel.open(undefined), BRIDGE)
      : kernel.switchPorts;
    this.kernel.sockets = 0; // the one of the switch is not counted
  }

  /** Makes a namespace, found at these paths. */
  namespace(...paths: readonly string[]): void {
    const links = new Map();
    const identity = { device: 4, inode: this.#inode++ };
    for (const path of paths) {
      this.kernel.namespaces.set(path, links);
      this.files.set(path, identity);
    }
    this.kernel.add(paths[0]!, "lo").up = true;
  }

  /** Removes a namespace with what is in it. */
  removeNamespace(path: string): void {
    for (const link of this.kernel.namespaces.get(path)?.values() ?? []) this.kernel.delete(link);
    this.kernel.namespaces.delete(path);
    this.files.delete(path);
  }

  /** The adapters. */
  adapters(): AttachAdapters {
    const { kernel } = this;
    const log = (event: string, fields: LogFields = {}) =>
      void this.logged.push(`${event} ${fields.target ?? fields.key}`);
    return {
      store: this.store,
      random: seededRandom(),
      log: { debug: log, info: log, warn: log, error: log },
      probe: {
        identify: (path) => this.files.get(path),
        own: () => this.own,
        processMark: (pid) => this.processes.get(pid),
        container: (id) => this.containers.get(id) ?? { kind: "gone" },
      },
      ports: this.#ports,
      sysctl: kernel.sysctl,
      openRoute: (path) => kernel.open(path),
      sendFrames: (path, name, frames) => {
        kernel.change();
        for (const _ of frames) kernel.announced.push(`${path} ${name}`);
      },
      forgotten: () => {},
      later: (ms, work) => void this.pending.push({ ms, work }),
      pid: 1000,
    };
  }

  /** A daemon's attachments, as after a start. */
  start(options: AttachOptions = OPTIONS): Attachments {
    return new Attachments(this.adapters(), options);
  }

  /** Kernel and store together. */
  snapshot(): string {
    return this.kernel.snapshot() + JSON.stringify(this.store.list(""));
  }
}

/** A host that has these network namespaces. */
export function hostWith(...paths: readonly string[]): FakeHost {
  const host = new FakeHost();
  for (const path of paths) host.namespace(path);
  return host;
}
