/** A TCP stream that can be watched while other things happen. */
import type { Container } from "./container.ts";
import { type Background, until } from "./process.ts";

/** Seconds between two of its rates. */
const INTERVAL = 0.5;

/** An iperf3 at work, from one container to another, until it is disposed of. */
export class Stream implements AsyncDisposable {
  private constructor(readonly server: Background, readonly client: Background) {}

  /** Starts it and waits until it flows. `options` for iperf3's client. */
  static async start(from: Container, to: Container, ...options: readonly string[]): Promise<Stream> {
    const server = to.background("iperf3", "-s", "-1", "--forceflush");
    try {
      await until("iperf3 listens", () => server.output().includes("listening"));
      const times = ["-t", "600", "-i", String(INTERVAL), "--forceflush", "-f", "m"];
      const client = from.background("iperf3", "-c", to.address, ...times, ...options);
      const stream = new Stream(server, client);
      await until("the stream flows", () => stream.rates().length >= 2);
      return stream;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }
  /** Mbit/s of each half second so far, as sent. */
  rates(): readonly number[] {
    return [...this.client.output().matchAll(/([0-9.]+) Mbits\/sec/g)].map((match) => Number(match[1]));
  }
  /** Waits until at least two half seconds after now carry data again. */
  async flows(ms: number): Promise<void> {
    const seen = this.rates().length + 1; // the next one began before now
    await until("the stream goes on", () => this.rates().slice(seen).filter((rate) => rate > 1).length >= 2, {
      ms,
    });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}
