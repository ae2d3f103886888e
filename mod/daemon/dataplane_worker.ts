/** Entry of the data plane's worker: waits to be told how, opens the kernel's datapath and runs the loop. */
import { Poller, Wakeup } from "../../ffi/poll.ts";
import type { LogFields, Logger } from "../core/ports.ts";
import type { TopologyView } from "../core/overlay_port.ts";
import { broadcastHops, graphOfView, unicastRoutes } from "../mesh/routes.ts";
import { Dataplane, type RouteLookup } from "../overlay/dataplane.ts";
import { type FromDataplane, type ToDataplane, toPlainFailure } from "../overlay/dataplane_messages.ts";
import { OvsDatapath } from "../overlay/ovs_shell.ts";
import { runDataplane } from "../overlay/worker_shell.ts";
import { SystemClock } from "../sys/clock.ts";
import { SystemRandom } from "../sys/random.ts";
import { ovsAdapters } from "./ovs_adapters.ts";

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
    const { extensions, kind, limits, mtu, name, noFastdp, overlays, vxlanPort } = start.config;
    using wakeup = Wakeup.attach(start.wakeupFd);
    using datapath = OvsDatapath.open(ovsAdapters({ log: postingLogger(send) }), { name, mtu });
    // Ids of flows that an earlier run left behind and that nobody knows of must not be met again.
    const firstUfid = 1 + new SystemRandom().below(2 ** 40);
    const core = new Dataplane({
      kind,
      overlays,
      noFastdp,
      extensions,
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
