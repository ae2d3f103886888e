/** Entry of the name server's worker: waits to be told how, and answers until it is told to stop. */
import type { LogEvent } from "../../core/log_events.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { Epoll } from "../../../ffi/epoll.ts";
import { Wakeup } from "../../../ffi/poll.ts";
import { Program } from "../../../ffi/program.ts";
import { QuerySocket } from "../../../ffi/query_socket.ts";
import { StreamListener, StreamSocket } from "../../../ffi/stream_socket.ts";
import { isIpv4 } from "../../core/addr.ts";
import { messageOf } from "../../core/errors.ts";
import { Faults } from "../../core/faults.ts";
import type { LogFields, Logger } from "../../core/ports.ts";
import { runNames } from "../../dns/thread/names_shell.ts";
import type { DnsEndpoint, FromNameServer, ToNameServer } from "../../dns/service_types.ts";
import type { QueryPort, Sockets } from "../../dns/thread/socket_ports.ts";
import { SystemClock } from "../../sys/clock.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import { SystemRandom } from "../../sys/random.ts";
import { raiseFence } from "./fence.ts";
import { WorkerInbox } from "./inbox.ts";
import { portOwner } from "../host/port_owner.ts";

/** This side of the worker's channel. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToNameServer>) => void) | null;
  postMessage(message: FromNameServer): void;
  close(): void;
};

/** Where programs are found if the daemon was not told. */
const PATH = Deno.env.get("PATH") ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** So much of what a program prints last is kept, in octets. */
const KEPT = 512;

const SOCKETS: Sockets = {
  openUdp: (endpoint): QueryPort => inside(endpoint, () => new QuerySocket(endpoint) as QueryPort),
  openTcp: (endpoint) => inside(endpoint, () => new StreamListener(endpoint)),
  connect: (transport, remote) => StreamSocket.connect(transport, remote),
  connectIn: (netns, remote, { from, transport = "tcp" } = {}) =>
    inNetns(netns, () => StreamSocket.connect(transport, remote, from)),
  runIn: (netns, words, environment) =>
    inNetns(netns, () => Program.start({ words, environment: { PATH, ...environment }, keep: KEPT })),
  ownerOf: ({ ip, netns, port }) =>
    netns === undefined ? portOwner(port, isIpv4(ip) ? "ipv4" : "ipv6") : undefined,
};

/** A socket stays in the namespace in which it is made. */
function inside<T>({ netns }: DnsEndpoint, make: () => T): T {
  return netns === undefined ? make() : inNetns(netns, make);
}

function postingLogger(post: (message: FromNameServer) => void): Logger {
  const at = (level: "debug" | "info" | "warn" | "error") => (event: LogEvent, fields: LogFields = {}) =>
    post({ kind: "log", level, event, fields });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Reads a file when it is another one than before: exchanged, written, or gone. */
function followed(path: string): () => string | undefined {
  let known: string | undefined;
  return () => {
    const now = stampOf(path);
    if (now === known) return undefined;
    known = now;
    return readTextIfReadable(path) ?? "";
  };
}

function stampOf(path: string): string {
  try {
    const { dev, ino, mtime, size } = Deno.statSync(path);
    return `${dev} ${ino} ${mtime?.getTime()} ${size}`;
  } catch {
    return "none";
  }
}

async function main(): Promise<void> {
  const inbox = new WorkerInbox<ToNameServer>();
  const send = (message: FromNameServer) => scope.postMessage(message);
  scope.onmessage = ({ data }) => inbox.put(data);
  try {
    const start = await inbox.next();
    if (start.kind !== "start") throw new TypeError(`Cannot begin with message ${start.kind}`);
    const log = postingLogger(send);
    const clock = new SystemClock();
    const faults = new Faults({ logger: log, clock });
    using _fence = raiseFence((what, thrown) => faults.tell(`name server: ${what}`, thrown));
    using wakeup = Wakeup.attach(start.wakeupFd);
    using readiness = new Epoll();
    await runNames({
      config: start.config,
      ...{ clock, faults, readiness, wakeup, send },
      random: new SystemRandom(),
      sockets: SOCKETS,
      readResolvConf: followed(start.config.resolvConf),
      nextMessage: () => inbox.next(),
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    });
    send({ kind: "stopped" });
  } catch (thrown) {
    send({
      kind: "failed",
      reason: thrown instanceof Error ? thrown.stack ?? messageOf(thrown) : messageOf(thrown),
    });
  }
  scope.close();
}

void main();
