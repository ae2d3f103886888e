/** The main thread's end of the data plane: starts its worker, hands requests over, takes events. */
import { assertNever } from "../core/brand.ts";
import { MeshnetError } from "../core/errors.ts";
import type { OverlayEvent, OverlayRequest } from "../core/overlay_port.ts";
import type { Logger } from "../core/ports.ts";
import {
  type DataplaneConfig,
  type DataplaneStatus,
  type FromDataplane,
  fromPlainFailure,
  type ToDataplane,
} from "../overlay/dataplane_messages.ts";

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

/** How the data plane is started. */
export interface DataplaneStart {
  /** What the worker is told. */
  readonly config: DataplaneConfig;
  /** Makes the counter that wakes the worker. */
  readonly createWakeup: () => WakeupCounter;
  /** Takes what the worker logs, too. */
  readonly log: Logger;
  /** Takes what the mesh is told. */
  readonly onEvent: (event: OverlayEvent) => void;
  /** The data plane ended although nobody asked it to, called once: the process should end and be started again.
   * Containers stay connected through the flows in the kernel meanwhile. */
  readonly onFailure: (reason: MeshnetError) => void;
  /** Where the worker's code is, if not beside this file. */
  readonly workerUrl?: URL;
}

/** A running data plane. */
export interface DataplaneHandle {
  /** Hands a request over. Requests after the end go nowhere. */
  request(request: OverlayRequest): void;
  /** What is going on; rejects once the data plane has ended. */
  report(): Promise<DataplaneStatus>;
  /** Ends the worker. Datapath, ports and flows stay, and traffic goes on. */
  stop(): Promise<void>;
}

interface PendingReport {
  readonly resolve: (status: DataplaneStatus) => void;
  readonly reject: (reason: MeshnetError) => void;
}

class DataplaneClient implements DataplaneHandle {
  readonly #worker: Worker;
  readonly #wakeup: WakeupCounter;
  readonly #options: DataplaneStart;
  readonly #reports = new Map<number, PendingReport>();
  readonly #started = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #phase: "starting" | "running" | "stopping" | "ended" = "starting";
  #lastReport = 0;

  constructor(options: DataplaneStart) {
    this.#options = options;
    this.#wakeup = options.createWakeup();
    const url = options.workerUrl ?? new URL("./dataplane_worker.ts", import.meta.url);
    this.#worker = new Worker(url, { type: "module", name: "dataplane" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<FromDataplane>) => this.#take(data));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail(new MeshnetError("datapath/unavailable", `Data plane failed: ${event.message}`));
    });
    const { config } = options;
    this.#worker.postMessage({ kind: "start", config, wakeupFd: this.#wakeup.fd } satisfies ToDataplane);
  }

  /** Resolves when the data plane works, rejects with the reason why it cannot. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  #post(message: ToDataplane): void {
    if (this.#phase === "ended") return;
    this.#worker.postMessage(message); // first the message, then the signal that there is one
    this.#wakeup.signal();
  }

  request(request: OverlayRequest): void {
    this.#post({ kind: "request", request });
  }

  report(): Promise<DataplaneStatus> {
    if (this.#phase === "ended") return Promise.reject(endedError());
    if (this.#reports.size >= MAX_REPORTS) {
      return Promise.reject(
        new MeshnetError("datapath/unavailable", "Cannot report: data plane is too busy"),
      );
    }
    const { promise, ...pending } = Promise.withResolvers<DataplaneStatus>();
    const id = ++this.#lastReport;
    this.#reports.set(id, pending);
    this.#post({ kind: "report", id });
    return promise;
  }

  async stop(): Promise<void> {
    if (this.#phase === "ended") return;
    if (this.#phase !== "stopping") {
      this.#post({ kind: "stop" });
      this.#phase = "stopping";
    }
    const timer = setTimeout(() => this.#end(), STOP_MS);
    await this.#ended.promise;
    clearTimeout(timer);
  }

  #take(message: FromDataplane): void {
    switch (message.kind) {
      case "started":
        if (this.#phase === "starting") this.#phase = "running";
        return this.#started.resolve();
      case "event":
        return this.#options.onEvent(message.event);
      case "log":
        return this.#options.log[message.level](message.event, message.fields);
      case "report":
        this.#reports.get(message.id)?.resolve(message.status);
        return void this.#reports.delete(message.id);
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
    if (phase === "starting") return this.#started.reject(reason);
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
    this.#ended.resolve();
  }
}

function endedError(): MeshnetError {
  return new MeshnetError("datapath/unavailable", "Cannot report: data plane has ended");
}

/** Starts the data plane. Resolves when the kernel's datapath is open and known; rejects with the reason, e.g.
 * "datapath/module-missing", when that cannot be. */
export async function startDataplane(options: DataplaneStart): Promise<DataplaneHandle> {
  const client = new DataplaneClient(options);
  await client.started;
  return client;
}
