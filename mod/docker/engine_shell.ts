/** Asking a container engine over its Unix socket. */
import { joinBytes } from "../core/bytes.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import {
  type ContainerDetails,
  type ContainerEvent,
  type ContainerSummary,
  decodeContainer,
  decodeContainerList,
  decodeEvent,
  decodeNetwork,
  decodeNetworkList,
  decodeNetworksOf,
  decodeNetworkUse,
  decodePlaces,
  decodeVersion,
  type EnginePlace,
  type EngineVersion,
  eventsPath,
  networkRequest,
  type NetworkUse,
  type WantedNetwork,
} from "./engine_api.ts";
import type { Decoded } from "../core/brand.ts";
import { JsonLines } from "./json_lines.ts";

/** Time for a whole answer, in milliseconds. A busy engine takes seconds. */
const PATIENCE_MS = 20_000;
/** Largest answers, bytes: the list of all containers carries their labels. */
const MAX_LIST = 32 * 1024 * 1024;
const MAX_ANSWER = 4 * 1024 * 1024;
/** So many questions are answered one after the other before the answer about a container is missed; and so many where more
 * than one is missed: several may start at once, or the machine be busy. */
const CONTROLS = { one: 12, several: 40 };
/** Events are asked for from so long ago: an engine may begin to answer before it begins to listen. */
const OVERLAP_S = 2;

/** A network that was to be removed. */
export interface RemovedNetwork {
  readonly name: string;
  /** Why it is still there; undefined: it is not. */
  readonly failure: string | undefined;
}

/** What is asked of an engine. */
export interface Engine extends Disposable {
  /** Finds out which engine it is; first of all. */
  open(signal: AbortSignal): Promise<EngineVersion>;
  /** All containers, those that do not run too. */
  containers(signal: AbortSignal): Promise<readonly ContainerSummary[]>;
  /** A container by id, name or the begin of its id; undefined where there is none. */
  container(word: string, signal: AbortSignal): Promise<ContainerDetails | undefined>;
  /** The same by its id alone; waits for as long as the engine works on it. */
  look(id: string, signal: AbortSignal): Promise<ContainerDetails | undefined>;
  /** Throws unless it answers at all. */
  answers(signal: AbortSignal): Promise<void>;
  /** Which of these containers the engine is working on, as when it starts one: it says nothing of them until it has done. */
  busy(ids: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Makes a network, unless there is one of that name; gives the driver of that. */
  ensureNetwork(network: WantedNetwork, signal: AbortSignal): Promise<string>;
  /** Removes the networks of a driver that nothing is in. Gives all of them, with why one was not removed. */
  removeNetworks(driver: string, signal: AbortSignal): Promise<readonly RemovedNetwork[]>;
  /** Who is in the networks of a driver. */
  places(driver: string, signal: AbortSignal): Promise<readonly EnginePlace[]>;
  /** What all networks use, of whatever driver. */
  networkUse(signal: AbortSignal): Promise<NetworkUse>;
  /** Events from now on, until the engine or the signal ends them; undefined for one that cannot be read. When this
   * returns, none is lost any more. */
  events(signal: AbortSignal): Promise<AsyncIterable<ContainerEvent | undefined>>;
}

interface Question {
  readonly signal: AbortSignal;
  readonly limit: number;
  /** Is sent, as JSON; what is asked without one changes nothing. */
  readonly body?: unknown;
}

/** Asks the engine at a socket. Disposing it closes its connections. */
export class SocketEngine implements Engine {
  readonly #client: Deno.HttpClient;
  #base = "";

  /** Connects when it is asked something. */
  constructor(readonly socket: string) {
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket }, http2: false });
  }

  /** See Engine. */
  async open(signal: AbortSignal): Promise<EngineVersion> {
    const version = good(decodeVersion(await this.#json("/version", { signal, limit: MAX_ANSWER })));
    this.#base = `/v${version.api}`;
    return version;
  }

  /** See Engine. */
  async containers(signal: AbortSignal): Promise<readonly ContainerSummary[]> {
    return good(decodeContainerList(await this.#json("/containers/json?all=1", { signal, limit: MAX_LIST })));
  }

  /** See Engine. */
  async container(word: string, signal: AbortSignal): Promise<ContainerDetails | undefined> {
    return await inTime(signal, (both) => this.look(word, both));
  }

  /** See Engine. */
  async look(id: string, signal: AbortSignal): Promise<ContainerDetails | undefined> {
    const path = `/containers/${encodeURIComponent(id)}/json`;
    const json = await this.#answer(path, { signal, limit: MAX_ANSWER });
    return json === undefined ? undefined : good(decodeContainer(json));
  }

  /** See Engine. */
  async answers(signal: AbortSignal): Promise<void> {
    await this.#json("/version", { signal, limit: MAX_ANSWER });
  }

  /** See Engine. Others are asked about at the same time, some of which do not exist: once these are answered, one after the
   * other, the engine has had the time to answer all that it can. */
  async busy(ids: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const over = new AbortController();
    const both = AbortSignal.any([signal, over.signal]);
    const busy = new Set(ids);
    const answered = (id: string) => {
      if (!both.aborted) busy.delete(id);
    };
    const asking = ids.map((id) => this.container(id, both).then(() => answered(id), () => answered(id)));
    let asked = 0;
    try {
      for (; busy.size > 0 && asked < (busy.size > 1 ? CONTROLS.several : CONTROLS.one); asked++) {
        await this.container("f".repeat(64), signal);
      }
    } catch (thrown) {
      if (asked < CONTROLS.one) throw thrown; // otherwise what is known by now is good enough
    } finally {
      over.abort();
    }
    await Promise.all(asking);
    return busy;
  }

  /** See Engine. */
  async ensureNetwork(network: WantedNetwork, signal: AbortSignal): Promise<string> {
    const path = `/networks/${encodeURIComponent(network.name)}`;
    const found = await this.#json(path, { signal, limit: MAX_ANSWER });
    if (found !== undefined) return good(decodeNetwork(found));
    const made = await this.#json("/networks/create", {
      ...{ signal, limit: MAX_ANSWER, body: networkRequest(network) },
    });
    if (made === undefined) throw failed(path, `it has no such driver as ${network.driver}`);
    return network.driver;
  }

  /** See Engine. */
  async removeNetworks(driver: string, signal: AbortSignal): Promise<readonly RemovedNetwork[]> {
    const list = good(decodeNetworksOf(await this.#json("/networks", { signal, limit: MAX_LIST }), driver));
    const removed: RemovedNetwork[] = [];
    for (const { id, name } of list) {
      const response = await inTime(
        signal,
        (both) => this.#ask(`/networks/${id}`, both, undefined, "DELETE"),
      );
      const text = new TextDecoder().decode(await readBody(response, MAX_ANSWER));
      const isGone = response.ok || response.status === 404;
      removed.push({ name, failure: isGone ? undefined : reasonIn(text) ?? `status is ${response.status}` });
    }
    return removed;
  }

  /** See Engine. */
  async places(driver: string, signal: AbortSignal): Promise<readonly EnginePlace[]> {
    const list = good(decodeNetworksOf(await this.#json("/networks", { signal, limit: MAX_LIST }), driver));
    const places: EnginePlace[] = [];
    for (const { id } of list) {
      const found = await this.#json(`/networks/${id}`, { signal, limit: MAX_LIST });
      if (found !== undefined) places.push(...good(decodePlaces(found))); // otherwise it has just gone
    }
    return places;
  }

  /** See Engine. */
  async networkUse(signal: AbortSignal): Promise<NetworkUse> {
    const list = await this.#json("/networks", { signal, limit: MAX_LIST });
    const addresses = new Set<string>();
    const endpoints = new Set<string>();
    for (const id of good(decodeNetworkList(list))) {
      const found = await this.#json(`/networks/${id}`, { signal, limit: MAX_LIST });
      if (found === undefined) continue; // it has just gone
      const use = good(decodeNetworkUse(found));
      for (const address of use.addresses) addresses.add(address);
      for (const endpoint of use.endpoints) endpoints.add(endpoint);
    }
    return { addresses, endpoints };
  }

  /** See Engine. */
  async events(signal: AbortSignal): Promise<AsyncIterable<ContainerEvent | undefined>> {
    const path = eventsPath(Date.now() / 1000 - OVERLAP_S);
    const response = await inTime(signal, (both) => this.#ask(path, both));
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw failed(path, `status is ${response.status}`);
    }
    return eventsOf(response.body);
  }

  /** Closes what is open. */
  [Symbol.dispose](): void {
    this.#client.close();
  }

  /** The JSON of an answer; undefined for 404. */
  #json(path: string, question: Question): Promise<unknown> {
    return inTime(question.signal, (both) => this.#answer(path, { ...question, signal: both }));
  }

  /** The same, however long it takes. */
  async #answer(path: string, { body, limit, signal }: Question): Promise<unknown> {
    const response = await this.#ask(path, signal, body);
    const text = new TextDecoder().decode(await readBody(response, limit));
    if (response.status === 404) return undefined;
    if (!response.ok) throw failed(path, `status is ${response.status}, ${text.slice(0, 200)}`);
    try {
      return JSON.parse(text);
    } catch {
      throw failed(path, "the answer is not JSON");
    }
  }

  async #ask(path: string, signal: AbortSignal, body?: unknown, method = "GET"): Promise<Response> {
    const url = `http://engine${this.#base}${path}`;
    const sent = body === undefined ? { method } : {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    };
    return await fetch(url, { ...sent, client: this.#client, signal, redirect: "error" });
  }
}

/** Runs `work` with a signal that aborts with the given one, and when `work` takes too long; a stream that it returns goes
 * on afterwards. */
async function inTime<T>(signal: AbortSignal, work: (both: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE_MS);
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } catch (thrown) {
    if (signal.aborted || !late.signal.aborted) throw thrown;
    throw failed("", `it did not come within ${PATIENCE_MS / 1000} s`);
  } finally {
    clearTimeout(timer);
  }
}

/** The body of an answer. Throws where that is longer than the limit, in bytes. */
export async function readBody({ body }: Response, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body ?? []) {
    length += part.length;
    if (length > limit) throw failed("", `the answer is longer than ${limit} bytes`); // leaving the loop cancels
    parts.push(part);
  }
  return joinBytes(parts);
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ContainerEvent | undefined> {
  const lines = new JsonLines();
  for await (const chunk of body) {
    for (const line of lines.take(chunk)) {
      if (line.kind === "lost") yield undefined;
      else {
        const event = decodeEvent(line.value);
        if (event !== undefined) yield event;
      }
    }
  }
}

/** What an engine says of its failure. */
export function reasonIn(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === "string" ? message.slice(0, 300) : undefined;
  } catch {
    return undefined;
  }
}

function good<T>(decoded: Decoded<T>): T {
  if (decoded.ok) return decoded.value;
  throw failed("", decoded.reason);
}

function failed(path: string, reason: string): MeshnetError {
  const what = path === "" ? "" : ` of ${path.replace(/\?.*/, "")}`;
  return new MeshnetError(
    "engine/bad-answer",
    `The container engine's answer${what} cannot be used: ${reason}`,
  );
}

/** Why nobody can be reached at a socket now; undefined: somebody answers. */
export async function whyUnreachable(socket: string): Promise<string | undefined> {
  try {
    (await Deno.connect({ transport: "unix", path: socket })).close();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return "there is no such socket";
    if (thrown instanceof Deno.errors.ConnectionRefused) return "nobody listens there";
    return messageOf(thrown);
  }
}
