/** The main thread's end of the data plane: starts its worker, hands requests over, takes events. */
import type { Ip, Mac } from "../../core/addr.ts";
import { assertNever } from "../../core/brand.ts";
import { MeshnetError, systemReason } from "../../core/errors.ts";
import type { Faults } from "../../core/faults.ts";
import type { OverlayEvent, OverlayRequest } from "../../core/overlay_port.ts";
import type { Logger } from "../../core/ports.ts";
import {
  type DataplaneConfig,
  type DataplaneStatus,
  type Disturbed,
  type FromDataplane,
  fromPlainFailure,
  type NetworkChange,
  type PortProgram,
  type ToDataplane,
} from "../../overlay/ports/dataplane_messages.ts";
import type { FrameQuestion, FrameView } from "../../overlay/ports/frame_view.ts";
import type { AddressUse } from "../../overlay/ports/dataplane_types.ts";

/** Reports asked for and not yet given; more are refused. */
const MAX_REPORTS = 64;
const STOP_MS = 2_000;

/** The counter that wakes the worker (ffi/poll.ts). */
export interface WakeupCounter extends Disposable {
  /** Its descriptor, which the worker waits on. */
  readonly fd: number;
  /** Adds one. */
  signal(): void;
}

/** What the data plane needs around it. */
export interface DataplaneAround {
  /** Makes the counter that wakes the worker. */
  readonly createWakeup: () => WakeupCounter;
  /** Takes what the worker logs, too. */
  readonly log: Logger;
  /** Makes a callback that lets nothing out, see Faults.guard. */
  readonly guard: Faults["guard"];
  /** Takes what the mesh is told. */
  readonly onEvent: (event: OverlayEvent) => void;
  /** This host's interfaces, addresses or routes have changed. */
  readonly onNetwork: (change: NetworkChange) => void;
  /** The switch was changed by others and is mended: containers may have lost their places on it. */
  readonly onMended: () => void;
  /** Takes what happened to interfaces of containers. */
  readonly onDisturbed: (disturbed: Disturbed) => void;
  /** Other programs have changed this host's firewall. */
  readonly onFirewall: () => void;
  /** Somebody uses an address. */
  readonly onAddressUsed: (use: AddressUse) => void;
  /** IPv4 addresses came to interfaces, ours or not. */
  readonly onAddressesAdded: (added: readonly Ip[]) => void;
  /** The data plane ended although nobody asked it to, called once: the process should end and be started again.
   * Containers stay connected through the flows in the kernel meanwhile. */
  readonly onFailure: (reason: MeshnetError) => void;
  /** Where the worker's code is, if not beside this file. */
  readonly workerUrl?: URL;
}

/** A data plane whose worker is being loaded, or runs. */
export interface DataplaneHandle {
  /** Tells the worker what to be, once. Resolves when the kernel's datapath is open and known, with what new ports
   * are to be given at once, if so; rejects with the reason,
   * e.g. "datapath/module-missing", when that cannot be. */
  start(config: DataplaneConfig): Promise<PortProgram | undefined>;
  /** Hands a request over. Requests after the end go nowhere. */
  request(request: OverlayRequest): void;
  /** Opens the switch's own leg, or closes it. Resolves when that is done, or never will be. */
  setLeg(open: boolean): Promise<void>;
  /** The kernel has loaded what IPsec needs, or never will. */
  ciphersReady(): void;
  /** Asks everybody who uses an IPv4 address; `mac` asks, and nobody else may have that. */
  whoHas(ip: Ip, mac: Mac): void;
  /** What becomes of frames between two addresses; rejects once the data plane has ended. */
  explain(question: FrameQuestion): Promise<FrameView>;
  /** What is going on; `count`: with what flows have carried until now. Rejects once the data plane has ended. */
  report(options?: { readonly count?: boolean }): Promise<DataplaneStatus>;
  /** Ends the worker. Datapath, ports and flows stay, and traffic goes on. */
  stop(): Promise<void>;
}

interface Pending<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: MeshnetError) => void;
}

/** Throws "up/not-permitted" where the system makes no more threads. */
function startWorker(url: URL): Worker {
  try {
    return new Worker(url, { type: "module", name: "dataplane" });
  } catch (cause) {
    throw new MeshnetError(
      "up/not-permitted",
      `Cannot start the data plane's thread: ${systemReason(cause)}`,
      {
        hint:
          "Allow more threads: --pids-limit of the container, TasksMax= and LimitNPROC= of the service, ulimit -u",
        cause,
      },
    );
  }
}

class DataplaneClient implements DataplaneHandle {
  readonly #worker: Worker;
  readonly #wakeup: WakeupCounter;
  readonly #options: DataplaneAround;
  readonly #deliverSoon: () => void;
  #requests: OverlayRequest[] = [];
  readonly #reports = new Map<number, Pending<DataplaneStatus>>();
  readonly #explanations = new Map<number, Pending<FrameView>>();
  readonly #legs: (() => void)[] = [];
  readonly #started = Promise.withResolvers<PortProgram | undefined>();
  readonly #ended = Promise.withResolvers<void>();
  #phase: "loading" | "starting" | "running" | "stopping" | "ended" = "loading";
  #lastReport = 0;

  constructor(options: DataplaneAround) {
    this.#options = options;
    this.#wakeup = options.createWakeup();
    this.#deliverSoon = options.guard("requests to the data plane", () => this.#deliver());
    const url = options.workerUrl ?? new URL("./dataplane_worker.ts", import.meta.url);
    this.#worker = startWorker(url);
    const { guard } = options;
    this.#worker.addEventListener(
      "message",
      guard("a message of the data plane", (event) => {
        this.#take((event as MessageEvent<FromDataplane>).data);
      }),
    );
    this.#worker.addEventListener(
      "error",
      guard("the end of the data plane", (event) => {
        event.preventDefault();
        this.#fail(
          new MeshnetError("datapath/unavailable", `Data plane failed: ${(event as ErrorEvent).message}`),
        );
      }),
    );
    this.#started.promise.catch(() => {}); // a worker that cannot be loaded may fail before anybody waits
  }

  start(config: DataplaneConfig): Promise<PortProgram | undefined> {
    if (this.#phase === "loading") {
      this.#phase = "starting";
      this.#worker.postMessage({ kind: "start", config, wakeupFd: this.#wakeup.fd } satisfies ToDataplane);
    }
    return this.#started.promise;
  }

  #post(message: ToDataplane): void {
    if (this.#phase === "ended") return;
    this.#deliver();
    this.#send(message);
  }

  #send(message: ToDataplane): void {
    this.#worker.postMessage(message); // first the message, then the signal that there is one
    this.#wakeup.signal();
  }

  request(request: OverlayRequest): void {
    if (this.#requests.push(request) === 1) queueMicrotask(this.#deliverSoon);
  }

  /** Sends the requests of this turn in one message: each message costs both threads a tenth of a millisecond. */
  #deliver(): void {
    const requests = this.#requests;
    this.#requests = [];
    if (requests.length > 0 && this.#phase !== "ended") this.#send({ kind: "requests", requests });
  }

  setLeg(open: boolean): Promise<void> {
    if (this.#phase === "ended") return Promise.resolve();
    this.#post({ kind: "leg", open });
    return new Promise((resolve) => void this.#legs.push(resolve));
  }

  ciphersReady(): void {
    this.#post({ kind: "ciphers-ready" });
  }

  whoHas(ip: Ip, mac: Mac): void {
    this.#post({ kind: "who-has", ip, mac });
  }

  report({ count = false } = {}): Promise<DataplaneStatus> {
    return this.#ask(this.#reports, (id) => ({ kind: "report", id, count }));
  }

  explain(question: FrameQuestion): Promise<FrameView> {
    return this.#ask(this.#explanations, (id) => ({ kind: "explain", id, question }));
  }

  #ask<T>(waiting: Map<number, Pending<T>>, message: (id: number) => ToDataplane): Promise<T> {
    if (this.#phase === "ended") return Promise.reject(endedError());
    if (waiting.size >= MAX_REPORTS) {
      return Promise.reject(
        new MeshnetError("datapath/unavailable", "Cannot report: data plane is too busy"),
      );
    }
    const { promise, ...pending } = Promise.withResolvers<T>();
    const id = ++this.#lastReport;
    waiting.set(id, pending);
    this.#post(message(id));
    return promise;
  }

  async stop(): Promise<void> {
    if (this.#phase === "ended") return;
    if (this.#phase === "loading") return this.#end();
    if (this.#phase !== "stopping") {
      this.#post({ kind: "stop" });
      this.#phase = "stopping";
    }
    const timer = setTimeout(this.#options.guard("the end of the data plane", () => this.#end()), STOP_MS);
    await this.#ended.promise;
    clearTimeout(timer);
  }

  #take(message: FromDataplane): void {
    switch (message.kind) {
      case "started":
        if (this.#phase === "starting") this.#phase = "running";
        return this.#started.resolve(message.portProgram);
      case "events":
        for (const event of message.events) this.#options.onEvent(event);
        return;
      case "log":
        return this.#options.log[message.level](message.event, message.fields);
      case "report":
        this.#reports.get(message.id)?.resolve(message.status);
        return void this.#reports.delete(message.id);
      case "explained":
        this.#explanations.get(message.id)?.resolve(message.view);
        return void this.#explanations.delete(message.id);
      case "address-used":
        return this.#options.onAddressUsed(message);
      case "leg":
        return this.#legs.shift()?.();
      case "network-changed":
        return this.#options.onNetwork(message.change);
      case "attached-disturbed":
        return this.#options.onDisturbed(message.disturbed);
      case "addresses-added":
        return this.#options.onAddressesAdded(message.added);
      case "firewall-changed":
        return this.#options.onFirewall();
      case "mended":
        return this.#options.onMended();
      case "stopped":
        return this.#end();
      case "failed":
        return this.#fail(fromPlainFailure(message.failure));
      default:
        assertNever(message);
    }
  }

  #fail(reason: MeshnetError): void {
    const phase = this.#phase;
    if (phase === "ended") return;
    this.#end();
    if (phase === "loading" || phase === "starting") return this.#started.reject(reason);
    this.#options.log.error("overlay/failed", { code: reason.code, reason: reason.message });
    if (phase === "running") this.#options.onFailure(reason);
  }

  #end(): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#worker.terminate();
    this.#wakeup[Symbol.dispose]();
    for (const { reject } of this.#reports.values()) reject(endedError());
    this.#reports.clear();
    for (const { reject } of this.#explanations.values()) reject(endedError());
    this.#explanations.clear();
    for (const resolve of this.#legs.splice(0)) resolve();
    this.#ended.resolve();
  }
}

function endedError(): MeshnetError {
  return new MeshnetError("datapath/unavailable", "Cannot report: data plane has ended");
}

/** Begins to load the data plane's worker; that takes a while, in which the caller can find out how to start it. */
export function loadDataplane(around: DataplaneAround): DataplaneHandle {
  return new DataplaneClient(around);
}
