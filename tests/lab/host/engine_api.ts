/** The API of an engine, for scenarios and measurements that ask for more than its client can. */

/** An answer. */
export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

/** Asks an engine at a socket. */
export class EngineApi implements Disposable {
  readonly #client: Deno.HttpClient;

  constructor(readonly socket: string) {
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket }, http2: false });
  }

  /** Whatever the answer. */
  async ask(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const sent = body === undefined
      ? {}
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(`http://engine${path}`, { ...sent, method, client: this.#client });
    return { status: response.status, text: await response.text() };
  }

  /** The JSON of an answer; throws where it is a refusal. */
  async must(method: string, path: string, body?: unknown): Promise<unknown> {
    const { status, text } = await this.ask(method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status}, ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
