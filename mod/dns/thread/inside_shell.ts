/** Questions of an engine's containers, taken inside each container's namespace: there they go to the engine's own name
 * server, at an address of the namespace's loopback. The kernel brings them here. What is no name of the mesh, that server
 * is asked, inside the namespace, too. */
import { messageOf } from "../../core/errors.ts";
import { ENGINE_SERVER, INSIDE } from "../../core/name_leg.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { DnsForwarderCounters } from "../upstream/forwarder.ts";
import { DnsForwarder } from "../upstream/forwarder.ts";
import { Upstreams } from "../upstream/upstream.ts";
import type { InsidePlace } from "../service_types.ts";
import { type AnswerTaker, Asking } from "./ask_shell.ts";
import type { Answering, Elsewhere } from "./answering_shell.ts";
import type { Handlers, Sockets } from "./socket_ports.ts";
import type { TcpAnswers } from "./tcp_shell.ts";
import { UdpAnswers } from "./udp_shell.ts";

/** The engine asks several servers of its own in turn, and gives each some seconds. */
const PATIENCE_MS = 10_000;

/** What it is made of. */
export interface InsideOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly handlers: Handlers;
  readonly sockets: Pick<Sockets, "connectIn" | "openTcp" | "openUdp">;
  readonly answering: Answering;
  readonly tcp: TcpAnswers;
  /** Takes whether questions are taken in a namespace; `problem`: why they are not. */
  readonly changed: (netns: string, problem: string | undefined) => void;
}

interface Inside extends Disposable {
  readonly elsewhere: { engineFirst: boolean };
}

/** All such namespaces. */
export class InsideServers implements Disposable {
  readonly #around: InsideOptions;
  /** By path, as all here. */
  readonly #all = new Map<string, Inside>();
  /** Those in which the engine's server was asked. */
  readonly #asking = new Map<string, Asking>();
  /** What those have counted that have gone. */
  readonly #counted: DnsForwarderCounters = { forwarded: 0, cached: 0, failed: 0, spoofed: 0, refused: 0 };
  readonly #forwarders = new Map<string, DnsForwarder<AnswerTaker>>();

  constructor(around: InsideOptions) {
    this.#around = around;
  }

  /** Takes questions in the namespace at this path from now on; undefined: no longer. */
  set(netns: string, place: InsidePlace | undefined): void {
    const before = this.#all.get(netns);
    if (place !== undefined && before !== undefined) {
      before.elsewhere.engineFirst = place.engineFirst;
      return this.#around.changed(netns, undefined);
    }
    this.#all.delete(netns);
    before?.[Symbol.dispose]();
    if (place === undefined) return;
    try {
      this.#all.set(netns, this.#open(netns, place));
      this.#around.changed(netns, undefined);
    } catch (thrown) {
      this.#around.changed(netns, messageOf(thrown));
    }
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    let earliest = Infinity;
    for (const asking of this.#asking.values()) earliest = Math.min(earliest, asking.nextWake());
    return earliest;
  }

  /** Does what is due. */
  wake(): void {
    for (const asking of this.#asking.values()) asking.wake();
  }

  /** What has been asked of engines. */
  get counters(): DnsForwarderCounters {
    const sums = { ...this.#counted };
    for (const { counters } of this.#forwarders.values()) add(sums, counters);
    return sums;
  }

  /** Takes no questions any more. */
  [Symbol.dispose](): void {
    for (const inside of this.#all.values()) inside[Symbol.dispose]();
    this.#all.clear();
  }

  #open(netns: string, { engineFirst, source }: InsidePlace): Inside {
    const { answering, handlers, sockets, tcp } = this.#around;
    using undo = new DisposableStack();
    let isOpen = true;
    undo.defer(() => isOpen = false);
    const elsewhere: Elsewhere & { engineFirst: boolean } = {
      source,
      engineFirst,
      ask: (asked, isBelow) => {
        if (isOpen) this.#askingIn(netns).ask(asked, isBelow);
        else asked.waiter.fail(); // a connection from before
      },
    };
    const endpoint = { ...INSIDE, netns };
    const udp = undo.use(sockets.openUdp(endpoint));
    const listener = undo.use(sockets.openTcp(endpoint));
    undo.use(new UdpAnswers(udp, { answering, handlers, elsewhere }));
    tcp.listen(listener, elsewhere);
    undo.defer(() => tcp.leave(listener));
    undo.defer(() => this.#forget(netns));
    const held = undo.move();
    return { elsewhere, [Symbol.dispose]: () => held[Symbol.dispose]() };
  }

  /** Nothing is kept: another container may have a name in the next moment, whatever the engine says of its life. */
  #askingIn(netns: string): Asking {
    const known = this.#asking.get(netns);
    if (known !== undefined) return known;
    const { clock, handlers, random, sockets } = this.#around;
    const forwarder = new DnsForwarder<AnswerTaker>({ random, patienceMs: PATIENCE_MS, caches: false });
    const upstreams = new Upstreams([]);
    upstreams.read(`nameserver ${ENGINE_SERVER}\n`);
    const asking = new Asking({
      ...{ clock, handlers, forwarder, upstreams, readResolvConf: () => undefined },
      // From there, and the kernel does not bring it back here.
      sockets: {
        connect: (transport, remote) => sockets.connectIn(netns, remote, { transport, from: INSIDE.ip }),
      },
    });
    this.#forwarders.set(netns, forwarder);
    this.#asking.set(netns, asking);
    return asking;
  }

  #forget(netns: string): void {
    this.#asking.get(netns)?.[Symbol.dispose]();
    this.#asking.delete(netns);
    const forwarder = this.#forwarders.get(netns);
    if (forwarder !== undefined) add(this.#counted, forwarder.counters);
    this.#forwarders.delete(netns);
  }
}

function add(to: DnsForwarderCounters, some: Readonly<DnsForwarderCounters>): void {
  for (const name of Object.keys(to) as (keyof DnsForwarderCounters)[]) to[name] += some[name];
}
