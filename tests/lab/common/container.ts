/** A container as the network sees it: a namespace, and programs that run in it. */
import { attempt, Background, exec, FOLDER } from "./process.ts";

/** What `ping` measured. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Replies beyond the first to the same request. */
  readonly duplicates: number;
  /** Milliseconds of each reply, in order. */
  readonly times: readonly number[];
  readonly text: string;
}

/** What `iperf3 -J` says at the end, as far as it is needed. */
export interface IperfEnd {
  readonly sum_received: { readonly bits_per_second: number; readonly bytes: number };
  /** UDP only: packets that were sent, and those of them that the receiver missed. */
  readonly sum?: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
}

/** A namespace that hangs on the network, or will. */
export class Container {
  /** Addresses as attached, without prefix lengths. */
  addresses: readonly string[] = [];

  constructor(readonly netns: string) {}

  /** Its first address. */
  get address(): string {
    const [first] = this.addresses;
    if (first === undefined) throw new Error(`${this.netns} has no address`);
    return first;
  }
  /** Runs a program in it that must succeed. */
  async exec(...argv: readonly string[]): Promise<string> {
    return await exec(argv, { netns: this.netns });
  }
  /** Starts a program in it, its output in a file. */
  background(...argv: readonly string[]): Background {
    const log = Deno.makeTempFileSync({ dir: FOLDER, prefix: `${this.netns}-` });
    return new Background(argv, log, { netns: this.netns });
  }
  /** Pings; lost replies are no error. */
  async ping(to: string, ...options: readonly string[]): Promise<PingResult> {
    const argv = ["ping", "-n", ...options, to];
    const { stdout, stderr } = await attempt(argv, { netns: this.netns });
    return parsePing(stdout + stderr);
  }
  /** Pings `-c` times and throws unless every request was answered, once. */
  async mustPing(to: string, ...options: readonly string[]): Promise<PingResult> {
    // By itself ping gives the last answer only two round trips, which a busy machine may exceed. With a deadline it
    // waits, and asks on meanwhile: what counts is whether the first requests were answered.
    const valueOf = (option: string) => Number(options[options.indexOf(option) + 1]);
    const count = valueOf("-c");
    const lasts = count * (options.includes("-i") ? valueOf("-i") : 1);
    const result = await this.ping(to, ...options, "-w", String(10 + Math.ceil(lasts)));
    const answers = [...result.text.matchAll(/icmp_seq=([0-9]+) /g)].map((match) => Number(match[1]));
    const all = Array.from({ length: count }, (_, i) => i + 1);
    const good = new Set(answers).isSupersetOf(new Set(all)) && !result.text.includes("DUP!");
    if (good && result.duplicates === 0) return result;
    throw new Error(`ping ${options.join(" ")} ${to} in ${this.netns} lost replies:\n${result.text}`);
  }
  /** Asks twice by ARP who has `address`, and throws unless each question is answered, once. */
  async mustArping(address: string): Promise<void> {
    // Where the kernel knows the address it may ask, too, whether that still holds; arping would count the answer.
    await exec(["ip", "neigh", "flush", "dev", "ethmesh"], { netns: this.netns });
    // With a deadline it waits for two answers, and asks on meanwhile. A second answer to one question would come first.
    const text = await this.exec("arping", "-c", "2", "-w", "20", "-I", "ethmesh", address);
    const [, sent, received] = /Sent ([0-9]+) probes[^]*Received ([0-9]+) response/.exec(text) ?? [];
    if (Number(sent) < 2 || received !== "2") throw new Error(text);
  }
  /** Bits per second of one TCP stream to another container. */
  async iperf(to: Container, seconds: number, ...options: readonly string[]): Promise<number> {
    const { sum_received } = await this.#iperf(to, seconds, options);
    return sum_received.bits_per_second;
  }
  /** Datagrams to another container: how many were sent, and how many of them it missed. */
  async udp(
    to: Container,
    { length, bitsPerSecond, seconds }: {
      readonly length: number;
      readonly bitsPerSecond: string;
      readonly seconds: number;
    },
  ): Promise<{ readonly packets: number; readonly lost: number; readonly seconds: number }> {
    const { sum } = await this.#iperf(to, seconds, ["-u", "-b", bitsPerSecond, "-l", String(length)]);
    return { packets: sum!.packets, lost: sum!.lost_packets, seconds: sum!.seconds };
  }
  async #iperf(to: Container, seconds: number, options: readonly string[]): Promise<IperfEnd> {
    await using _server = to.background("iperf3", "-s", "-1");
    const times = ["-t", String(seconds), "--connect-timeout", "5000"];
    const client = ["iperf3", "-c", to.address, "-J", ...times, ...options];
    for (let tries = 0;; tries++) { // the server needs a moment to listen
      const { stdout, stderr } = await attempt(client, {
        netns: this.netns,
        timeoutMs: seconds * 1000 + 20_000,
      });
      const answer = stdout === "" ? { error: stderr } : JSON.parse(stdout);
      if (answer.error === undefined) return answer.end;
      if (tries >= 20) throw new Error(`iperf3 failed: ${answer.error}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  /** Captures packets on an interface of it; see {@link Capture}. */
  async capture(device: string, filter: string): Promise<Capture> {
    return await Capture.start(this.netns, device, filter);
  }
}

/** A tcpdump at work. */
export class Capture implements AsyncDisposable {
  private constructor(readonly program: Background) {}

  /** Starts tcpdump in a namespace and waits until it listens. */
  static async start(
    netns: string,
    device: string,
    filter: string,
    ...options: readonly string[]
  ): Promise<Capture> {
    const log = Deno.makeTempFileSync({ dir: FOLDER, prefix: `${netns}-dump-` });
    // A buffer of 16 MiB: tcpdump may have to wait for a processor while many packets come.
    const argv = ["tcpdump", "-n", "-e", "-l", "-U", "-B", "16384", ...options, "-i", device, filter];
    const capture = new Capture(new Background(argv, log, { netns }));
    for (let tries = 0; !capture.program.output().includes("listening on"); tries++) {
      if (tries > 200 || capture.program.code !== undefined) {
        throw new Error(`tcpdump does not start: ${capture.program.output()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return capture;
  }
  /** A line for each packet so far. */
  get packets(): readonly string[] {
    return this.program.output().split("\n").filter((line) => /^[0-9]{2}:[0-9]{2}:/.test(line));
  }
  /** Ends it and gives a line for each packet. */
  async stop(): Promise<readonly string[]> {
    this.program.kill("SIGINT");
    await this.program.ended();
    return this.packets;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

/** Reads what `ping` printed. */
export function parsePing(text: string): PingResult {
  const summary = /([0-9]+) packets transmitted, ([0-9]+) (?:packets )?received(?:, \+([0-9]+) duplicates)?/
    .exec(text);
  return {
    sent: Number(summary?.[1] ?? 0),
    received: Number(summary?.[2] ?? 0),
    duplicates: Number(summary?.[3] ?? 0),
    times: [...text.matchAll(/time[=<]([0-9.]+) ms/g)].map((match) => Number(match[1])),
    text,
  };
}
