/** Entry of the data plane's worker: waits to be told how, opens the kernel's datapath and runs the loop. */
import { DatagramBatch } from "../../ffi/datagram_batch.ts";
import { NlSocket, openNetlink } from "../../ffi/nl_socket.ts";
import { Poller, Wakeup } from "../../ffi/poll.ts";
import { interfaceIndex } from "../../ffi/process.ts";
import type { LogFields, Logger } from "../core/ports.ts";
import type { TopologyView } from "../core/overlay_port.ts";
import { broadcastHops, graphOfView, unicastRoutes } from "../mesh/routes.ts";
import { Dataplane, type RouteLookup } from "../overlay/dataplane.ts";
import { type FromDataplane, type ToDataplane, toPlainFailure } from "../overlay/dataplane_messages.ts";
import type { OvsAdapters, UpcallSocket } from "../overlay/datapath_port.ts";
import { OvsDatapath } from "../overlay/ovs_shell.ts";
import { runDataplane } from "../overlay/worker_shell.ts";
import { SystemClock } from "../sys/clock.ts";
import { SystemRandom } from "../sys/random.ts";

/** Room for misses that come faster than they are answered, in octets. */
const UPCALL_BUFFER = 8 * 1024 * 1024;
/** A frame of 64 KiB with its key fits into each. */
const UPCALL_SLOT = 72 * 1024;
const UPCALL_SLOTS = 32;

/** This side of the worker's channel. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToDataplane>) => void) | null;
  postMessage(message: FromDataplane): void;
  close(): void;
};

/** Messages in the order in which they came, one at a time. */
class Inbox {
  readonly #arrived: ToDataplane[] = [];
  #waiting: ((message: ToDataplane) => void) | undefined;

  put(message: ToDataplane): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#arrived.push(message);
    else waiting(message);
  }
  next(): Promise<ToDataplane> {
    const first = this.#arrived.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve) => this.#waiting = resolve);
  }
}

/** A netlink socket that receives many datagrams at once. */
class BatchedSocket extends NlSocket implements UpcallSocket {
  readonly #batch = new DatagramBatch(UPCALL_SLOTS, UPCALL_SLOT);
  readonly batchSize = UPCALL_SLOTS;

  receiveBatch(): readonly Uint8Array[] {
    return this.#batch.receive(this.fd);
  }
}

function possibleCpus(): number {
  try {
    const last = /(\d+)\s*$/.exec(Deno.readTextFileSync("/sys/devices/system/cpu/possible"));
    if (last !== null) return Number(last[1]) + 1;
  } catch {
    // No sysfs: what this process may use has to do.
  }
  return navigator.hardwareConcurrency;
}

function routesOf(view: TopologyView): RouteLookup {
  const graph = graphOfView(view);
  const unicast = unicastRoutes(graph, view.self);
  const broadcasts = new Map<number, readonly number[]>();
  return {
    nextHop: (destination) => unicast[destination] ?? -1,
    broadcastHops(source) {
      const hops = broadcasts.get(source) ?? broadcastHops(graph, view.self, source);
      broadcasts.set(source, hops);
      return hops;
    },
  };
}

function adaptersWith(log: Logger): OvsAdapters {
  return {
    openControl: () => openNetlink({ protocol: "generic" }),
    openUpcalls: () =>
      new BatchedSocket({
        protocol: "generic",
        receiveBuffer: UPCALL_BUFFER,
        ignoreOverrun: true,
        echoErrors: true,
      }),
    openNotices: (groups) => openNetlink({ protocol: "generic", groups }),
    openRoute: () => openNetlink({ protocol: "route" }),
    interfaceIndex,
    cpus: possibleCpus(),
    log,
  };
}

function postingLogger(post: (message: FromDataplane) => void): Logger {
  const at = (level: "debug" | "info" | "warn" | "error") => (event: string, fields: LogFields = {}) =>
    post({ kind: "log", level, event, fields });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

async function main(): Promise<void> {
  const inbox = new Inbox();
  const send = (message: FromDataplane) => scope.postMessage(message);
  scope.onmessage = ({ data }) => inbox.put(data);
  try {
    const start = await inbox.next();
    if (start.kind !== "start") throw new TypeError(`Cannot begin with message ${start.kind}`);
    const { limits, mtu, name, vxlanPort } = start.config;
    using wakeup = Wakeup.attach(start.wakeupFd);
    using datapath = OvsDatapath.open(adaptersWith(postingLogger(send)), { name, mtu });
    // Ids of flows that an earlier run left behind and that nobody knows of must not be met again.
    const firstUfid = 1 + new SystemRandom().below(2 ** 40);
    const core = new Dataplane({
      name,
      mtu,
      vxlanPort,
      firstUfid,
      routes: routesOf,
      ...(limits === undefined ? {} : { limits }),
    });
    await runDataplane({
      core,
      datapath,
      clock: new SystemClock(),
      waiter: new Poller([wakeup.fd, ...datapath.fds]),
      announced: () => wakeup.take(),
      nextMessage: () => inbox.next(),
      send,
    });
    send({ kind: "stopped" });
  } catch (thrown) {
    send({ kind: "failed", failure: toPlainFailure(thrown) });
  }
  scope.close();
}

void main();
