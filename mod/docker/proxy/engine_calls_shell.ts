/** What the proxy itself asks of the engine: single requests whose answers are small. */
import { readBody } from "../engine_shell.ts";

/** Largest answer, bytes. */
const MAX_ANSWER = 4 * 1024 * 1024;
/** Headers that belong to a connection, and not to what is asked. */
const OF_CONNECTIONS = [
  ...["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding"],
  "upgrade",
];

/** An answer of the engine. */
export interface EngineAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** A request to the engine. */
export interface EngineRequest {
  readonly method: string;
  readonly target: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
}

/** Asks the engine at a socket. Disposing it closes what is open. */
export class EngineCalls implements Disposable {
  readonly #client: Deno.HttpClient;

  /** Connects for each request: an engine that was started anew has closed what was kept. */
  constructor(socket: string) {
    const proxy = { transport: "unix", path: socket } as const;
    this.#client = Deno.createHttpClient({ proxy, http2: false, poolMaxIdlePerHost: 0 });
  }

  /** Asks. Throws where nobody answers. */
  async ask({ body, headers = [], method, target }: EngineRequest): Promise<EngineAnswer> {
    const kept = headers.filter(([name]) => !OF_CONNECTIONS.includes(name.toLowerCase()));
    const response = await fetch(`http://engine${target}`, {
      ...{ method, client: this.#client, redirect: "manual", headers: kept.map(([...pair]) => pair) },
      ...body === undefined ? {} : { body },
    });
    return {
      status: response.status,
      headers: [...response.headers],
      body: await readBody(response, MAX_ANSWER),
    };
  }

  /** Sends JSON. */
  post(target: string, value: unknown): Promise<EngineAnswer> {
    const body = new TextEncoder().encode(JSON.stringify(value));
    return this.ask({ method: "POST", target, headers: [["Content-Type", "application/json"]], body });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
