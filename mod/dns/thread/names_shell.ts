/** The name server's loop: one thread, one wait for questions, answers of other servers, messages and time. */
import { assertNever } from "../../core/brand.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { Faults } from "../../core/faults.ts";
import type { PeerName } from "../../core/names.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import { Answering } from "./answering_shell.ts";
import { type AnswerTaker, Asking } from "./ask_shell.ts";
import { ClientTable } from "../answers/clients.ts";
import { DnsForwarder } from "../upstream/forwarder.ts";
import { InsideServers } from "./inside_shell.ts";
import { Listeners } from "./listeners_shell.ts";
import { NameServer } from "../answers/name_server.ts";
import { Probing } from "./probe_shell.ts";
import { ResponseLimit } from "../answers/response_limit.ts";
import type { DnsReport, FromNameServer, NameServiceConfig, ToNameServer } from "../service_types.ts";
import { Handlers, type ListenerPort, type QueryPort, type Readiness, type Sockets } from "./socket_ports.ts";
import { TcpAnswers } from "./tcp_shell.ts";
import { UdpAnswers } from "./udp_shell.ts";
import { Upstreams } from "../upstream/upstream.ts";

/** Messages of the main thread that are taken before questions have their turn. */
const MESSAGES = 4;
/** When something fails in every round for so long, the thread ends and is started anew. */
const TROUBLE_MS = 30_000;
/** Rest after a round in which something failed: what failed may be ready again at once, and fail again. */
const REST_MS = 100;

/** What the loop is made of. */
export interface NamesLoop {
  readonly config: NameServiceConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: Pick<Faults, "tell">;
  readonly readiness: Readiness;
  readonly sockets: Sockets;
  /** The text of a file if it is another one than at the last call; undefined if it is as it was. */
  readonly readResolvConf: () => string | undefined;
  /** The counter by which messages are announced. */
  readonly wakeup: { readonly fd: number; take(): number };
  /** The next message from the main thread. */
  readonly nextMessage: () => Promise<ToNameServer>;
  /** Sends to the main thread. */
  readonly send: (message: FromNameServer) => void;
  /** Does nothing for so many milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
}

/** What the thread has. */
class Names implements Disposable {
  readonly clients = new ClientTable();
  readonly server: NameServer;
  readonly handlers: Handlers;
  readonly listeners: Listeners;
  readonly forwarder: DnsForwarder<AnswerTaker>;
  readonly #asking: Asking;
  readonly #answering: Answering;
  readonly #tcp: TcpAnswers;
  readonly #probing: Probing;
  readonly #inside: InsideServers;
  readonly #loop: NamesLoop;
  #distances: ReadonlyMap<PeerName, number> = new Map();
  /** Names of peers recur in entries, and are kept once. */
  readonly #origins = new Map<PeerName, PeerName>();

  constructor(loop: NamesLoop) {
    this.#loop = loop;
    const { clock, config, random, readResolvConf, readiness, sockets } = loop;
    this.server = new NameServer({ ...config, random, rttMs: (peer) => this.#distances.get(peer) });
    this.handlers = new Handlers(readiness);
    this.forwarder = new DnsForwarder({ random, patienceMs: config.patienceMs });
    const { clients, forwarder, handlers, server } = this;
    const upstreams = new Upstreams(config.stubs);
    this.#asking = new Asking({ clock, handlers, sockets, forwarder, upstreams, readResolvConf });
    const limit = new ResponseLimit(random.below(2 ** 32));
    const answering = this.#answering = new Answering({
      clock,
      server,
      clients,
      limit,
      asking: this.#asking,
    });
    const tcp = this.#tcp = new TcpAnswers({ answering, handlers, clock });
    this.#probing = new Probing({
      ...{ clock, handlers, sockets },
      changed: (id, health) => loop.send({ kind: "health", id, health }),
    });
    this.#inside = new InsideServers({
      ...{ answering, clock, handlers, random, sockets, tcp },
      changed: (netns, problem) => loop.send({ kind: "inside", netns, problem }),
    });
    this.listeners = new Listeners({
      ...{ clock, sockets },
      answerOn: (udp, listener) => answerOn({ udp, listener, answering, handlers, tcp }),
      changed: (states) => {
        upstreams.avoid(states);
        loop.send({ kind: "listeners", listeners: states });
      },
    });
  }

  nextWake(): number {
    const [asking, probing] = [this.#asking.nextWake(), this.#probing.nextWake()];
    return Math.min(
      asking,
      probing,
      this.#tcp.nextWake(),
      this.listeners.nextWake(),
      this.#inside.nextWake(),
    );
  }

  wake(): void {
    this.#asking.wake();
    this.#tcp.wake();
    this.#probing.wake();
    this.#inside.wake();
    this.listeners.wake();
  }

  take(message: Exclude<ToNameServer, { kind: "stop" }>): void {
    switch (message.kind) {
      case "changes":
        for (const [before, after] of message.changes) this.server.index.watch(before, this.#lean(after));
        return;
      case "client":
        if (message.client === undefined) this.clients.remove(message.id);
        else this.clients.set(message.id, message.client);
        return;
      case "distances":
        this.#distances = message.rttMs;
        return;
      case "listen":
        return this.listeners.set(message.endpoints);
      case "inside":
        return this.#inside.set(message.netns, message.place);
      case "probe":
        if (message.target === undefined) this.#probing.remove(message.id);
        else this.#probing.set(message.id, message.target);
        return;
      case "report":
        if (message.examine) return this.#asking.examine(() => this.#report(message.id));
        return this.#report(message.id);
      case "start":
        return; // it did
      default:
        assertNever(message);
    }
  }

  #report(id: number): void {
    this.#loop.send({ kind: "report", id, report: this.report() });
  }

  report(): DnsReport {
    const sums = { ...this.#answering.counters };
    for (const counters of [this.forwarder.counters, this.#inside.counters]) {
      for (const [name, count] of Object.entries(counters)) sums[name as keyof typeof counters] += count;
    }
    return {
      listeners: this.listeners.states(),
      ...{ upstreams: this.#asking.servers, servers: this.#asking.states() },
      names: this.server.index.names,
      counters: sums,
    };
  }

  [Symbol.dispose](): void {
    this.listeners[Symbol.dispose]();
    this.#inside[Symbol.dispose]();
    this.#tcp[Symbol.dispose]();
    this.#probing[Symbol.dispose]();
    this.#asking[Symbol.dispose]();
  }

  #lean(entry: DnsEntry | undefined): DnsEntry | undefined {
    if (entry === undefined) return undefined;
    const origin = this.#origins.get(entry.origin) ?? entry.origin;
    this.#origins.set(origin, origin);
    return { ...entry, origin };
  }
}

function answerOn({ answering, handlers, listener, tcp, udp }: {
  readonly udp: QueryPort;
  readonly listener: ListenerPort;
  readonly answering: Answering;
  readonly handlers: Handlers;
  readonly tcp: TcpAnswers;
}): Disposable {
  using undo = new DisposableStack();
  undo.use(listener);
  undo.use(new UdpAnswers(udp, { answering, handlers }));
  tcp.listen(listener);
  undo.defer(() => tcp.leave(listener));
  return undo.move();
}

/**
 * Runs until a message asks to stop. Each round takes a few messages, then what is ready, then what is due, so that none
 * can starve the others. While it waits the thread is blocked. What fails is logged, and the loop goes on; what fails for
 * long is thrown.
 */
export async function runNames(loop: NamesLoop): Promise<void> {
  const { clock, faults, nextMessage, pause, readiness, wakeup } = loop;
  using names = new Names(loop);
  readiness.add(wakeup.fd);
  let announced = 0;
  let troubleSince: number | undefined;
  let last: unknown;
  let failed = false;
  const guard = (what: string, work: () => void) => {
    try {
      work();
    } catch (thrown) {
      [last, failed] = [thrown, true];
      faults.tell(`name server: ${what}`, thrown);
    }
  };
  for (;;) {
    const ready = readiness.wait(announced > 0 ? 0 : names.nextWake() - clock.now());
    for (let i = 0; i < ready; i++) {
      const fd = readiness.ready(i);
      if (fd === wakeup.fd) announced += wakeup.take();
      else guard("socket", () => names.handlers.ready(fd));
    }
    for (let i = 0; i < MESSAGES && announced > 0; i++, announced--) {
      const message = await nextMessage();
      if (message.kind === "stop") return;
      guard(`message ${message.kind}`, () => names.take(message));
    }
    if (names.nextWake() <= clock.now()) guard("timers", () => names.wake());
    if (!failed) troubleSince = undefined;
    else {
      failed = false;
      troubleSince ??= clock.now();
      if (clock.now() - troubleSince > TROUBLE_MS) throw last;
      await pause(REST_MS);
    }
  }
}
