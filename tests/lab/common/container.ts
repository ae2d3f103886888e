/** A container as the network sees it: a namespace, and programs that run in it. */
import { slowness } from "./pace.ts";
import { attempt, Background, exec, FOLDER, Hopeless, until } from "./process.ts";

/** More than any answer takes, however busy the machine is. */
const ANSWER_SECONDS = 10;
/** So many counts of tcpdump, 50 ms apart, are the same once it has read all: it reads every 100 ms. */
const STILL = 8;

/** What `ping` measured. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Replies beyond the first to the same request. */
  readonly duplicates: number;
  /** Milliseconds of each reply, in order. */
  readonly times: readonly number[];
  /** Numbers of the requests that were answered. */
  readonly answered: ReadonlySet<number>;
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
  /** Pings until the first `-c` requests are answered, and asks on meanwhile. By itself ping gives the last answer only two
   * round trips, which a busy machine may exceed; and with a deadline it takes any answers, in whatever order. */
  async patientPing(to: string, ...options: readonly string[]): Promise<PingResult> {
    const [count = 1, interval = 1] = ["-c", "-i"].map((name) => {
      const at = options.indexOf(name);
      return at < 0 ? undefined : Number(options[at + 1]);
    });
    const others = options.filter((option, i) => option !== "-c" && options[i - 1] !== "-c");
    // The time for the requests thrice: a busy machine sends them late.
    const deadline = ["-w", String(Math.ceil(3 * count * interval) + ANSWER_SECONDS)];
    const { stdout, stderr } = await attempt(["ping", "-n", ...others, ...deadline, to], {
      netns: this.netns,
      enough: (text) => firstOnes(count).isSubsetOf(answeredIn(text)),
      timeoutMs: 180_000,
    });
    return parsePing(stdout + stderr);
  }
  /** Asks until somebody answers, now or in a while; gives the milliseconds that took. */
  async reaches(to: string, { ms = 60_000, options = [] as readonly string[] } = {}): Promise<number> {
    const started = performance.now();
    await until(`${this.netns} reaches ${to}`, async () => {
      const left = Math.ceil((started + ms * slowness() - performance.now()) / 1000);
      const deadline = ["-w", String(Math.min(ANSWER_SECONDS, Math.max(1, left)))];
      const { stdout } = await attempt(["ping", "-n", "-i", "0.05", ...options, ...deadline, to], {
        netns: this.netns,
        enough: (text) => answeredIn(text).size > 0,
      });
      return answeredIn(stdout).size > 0;
    }, { ms, everyMs: 20 });
    return Math.round(performance.now() - started);
  }
  /** Pings `-c` times and throws unless every request was answered, once. */
  async mustPing(to: string, ...options: readonly string[]): Promise<PingResult> {
    const result = await this.patientPing(to, ...options);
    const count = Number(options[options.indexOf("-c") + 1]);
    const good = firstOnes(count).isSubsetOf(result.answered) && !result.text.includes("DUP!");
    if (good && result.duplicates === 0) return result;
    throw new Error(`ping ${options.join(" ")} ${to} in ${this.netns} lost replies:\n${result.text}`);
  }
  /** Asks twice by ARP who has `address`, and throws unless each question is answered, once. */
  async mustArping(address: string): Promise<void> {
    // Where the kernel knows the address it may ask, too, whether that still holds; arping would count the answer.
    await exec(["ip", "neigh", "flush", "dev", "ethmesh"], { netns: this.netns });
    // An answer has until the next question, the last one as long again.
    const text = await this.exec("arping", "-c", "2", "-i", "3", "-I", "ethmesh", address);
    if (!text.includes("Received 2 response")) throw new Error(text);
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
    await using server = to.background("iperf3", "-s", "-1", "--forceflush");
    await until("iperf3 listens", () => server.output().includes("listening"));
    const times = ["-t", String(seconds), "--connect-timeout", "30000"];
    const client = ["iperf3", "-c", to.address, "-J", ...times, ...options];
    const timeoutMs = seconds * 1000 + 90_000;
    const { stdout, stderr } = await attempt(client, { netns: this.netns, timeoutMs });
    const answer = stdout === "" ? { error: stderr } : JSON.parse(stdout);
    if (answer.error !== undefined) throw new Error(`iperf3 failed: ${answer.error}`);
    return answer.end;
  }
  /** Captures packets on an interface of it; see {@link Capture}. */
  async capture(device: string, filter: string): Promise<Capture> {
    return await Capture.start(this.netns, device, filter);
  }
}

/** A tcpdump at work. */
export class Capture implements AsyncDisposable {
  private constructor(readonly program: Background, readonly counted: boolean) {}

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
    // Where it takes one direction, it counts both.
    const capture = new Capture(new Background(argv, log, { netns }), !options.includes("-Q"));
    const { program } = capture;
    try {
      await until("tcpdump listens", () => {
        if (program.code !== undefined) throw new Hopeless(`tcpdump does not start: ${program.output()}`);
        return program.output().includes("listening on");
      });
    } catch (error) {
      await capture[Symbol.asyncDispose]();
      throw error;
    }
    return capture;
  }
  /** A line for each packet so far. */
  get packets(): readonly string[] {
    return this.program.output().split("\n").filter((line) => /^[0-9]{2}:[0-9]{2}:/.test(line));
  }
  /** Ends it and gives a line for each packet that came until now. */
  async stop(): Promise<readonly string[]> {
    if (this.counted) await this.#readAll();
    this.program.kill("SIGINT");
    await this.program.ended();
    return this.packets;
  }
  /** Waits until tcpdump has read what the kernel keeps for it, which it throws away when it ends. */
  async #readAll(): Promise<void> {
    await until("tcpdump has read all packets", () => {
      if (this.program.code !== undefined) return true;
      const counts = [
        ...this.program.output().matchAll(/([0-9]+) packets? captured, ([0-9]+) .*?, ([0-9]+) /g),
      ];
      const [first, last] = [counts[0], counts.at(-1)];
      if (Number(last?.[1]) + Number(last?.[3]) >= Number(first?.[2])) return true;
      // What came before the filter was in place is counted, and never read.
      const lately = counts.slice(-STILL);
      if (lately.length === STILL && lately.every((count) => count[1] === last![1])) return true;
      this.program.kill("SIGUSR1"); // it tells what it has counted so far
      return false;
    }, { everyMs: 50 });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

/** The numbers of the first so many requests. */
function firstOnes(count: number): ReadonlySet<number> {
  return new Set(Array.from({ length: count }, (_, i) => i + 1));
}

/** The numbers of the requests to which `ping` printed answers. */
function answeredIn(text: string): ReadonlySet<number> {
  return new Set([...text.matchAll(/icmp_seq=([0-9]+) ttl=/g)].map((match) => Number(match[1])));
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
    answered: answeredIn(text),
    text,
  };
}
