/** Frames with any addresses, sent from a namespace by a process of its own. */
import { exec } from "./process.ts";

/** What to send: every source to every destination, once. */
export interface FrameOrder {
  readonly device: string;
  readonly sources: readonly string[];
  readonly destinations: readonly string[];
  /** Pace; 0 means as fast as it goes. */
  readonly perSecond: number;
}

/** EtherType for local experiments. */
const ETHERTYPE = 0x88b5;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const LENGTH = 60;
const IOVEC = 16;
const MMSGHDR = 64;
/** Frames of one call. */
const BATCH = 64;
/** A sender that a busy machine has held up makes up for so many seconds: what takes the frames was held up, too. */
const MADE_UP_SECONDS = 0.05;

/** A MAC address as text. */
export function macText(octets: readonly number[]): string {
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** Sends frames from a namespace and waits until all have left; gives the seconds that sending took. */
export async function sendFrames(netns: string, order: FrameOrder): Promise<number> {
  const runner = new URL(import.meta.url).pathname; // everything in here is one bundle
  const flags = ["run", "-A", "-q", "--no-config", "--no-lock", "--no-code-cache"];
  const argv = [Deno.execPath(), ...flags, runner, "frames", JSON.stringify(order)];
  const text = await exec(argv, { netns, timeoutMs: 120_000 });
  return Number(text);
}

/** The process that sends: prints how many seconds it took. */
export async function sendFramesHere(order: FrameOrder): Promise<void> {
  const library = Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" }, // int socket(int, int, int)
    bind: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // int bind(int, const struct sockaddr *, socklen_t)
    sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" }, // int sendmmsg(int, struct mmsghdr *, unsigned, int)
    if_nametoindex: { parameters: ["buffer"], result: "u32" }, // unsigned if_nametoindex(const char *)
  });
  const { socket, bind, sendmmsg, if_nametoindex } = library.symbols;
  const fd = socket(AF_PACKET, SOCK_RAW, 0);
  const address = new DataView(new ArrayBuffer(20)); // struct sockaddr_ll
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, ETHERTYPE);
  address.setInt32(4, if_nametoindex(new TextEncoder().encode(`${order.device}\0`)), true);
  if (fd < 0 || bind(fd, new Uint8Array(address.buffer), 20) !== 0) {
    throw new Error("Cannot open a packet socket");
  }
  const pairs = order.sources.flatMap((source) =>
    order.destinations.map((destination) => [source, destination])
  );
  const frames = new Uint8Array(pairs.length * LENGTH);
  for (const [i, [source, destination]] of pairs.entries()) {
    frames.set([...octets(destination!), ...octets(source!), ETHERTYPE >> 8, ETHERTYPE & 255], i * LENGTH);
  }
  const batch = messages(frames, pairs.length);
  const started = performance.now();
  const most = Math.max(BATCH, MADE_UP_SECONDS * order.perSecond);
  let [last, due] = [started, 0];
  for (let sent = 0; sent < pairs.length;) {
    const now = performance.now();
    due = order.perSecond === 0 ? BATCH : Math.min(most, due + (now - last) / 1000 * order.perSecond);
    last = now;
    const count = Math.min(BATCH, pairs.length - sent, Math.floor(due));
    const done = count <= 0 ? 0 : sendmmsg(fd, batch.subarray(sent * MMSGHDR), count, 0);
    sent += Math.max(0, done);
    due -= Math.max(0, done);
    if (done <= 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  console.log((performance.now() - started) / 1000);
}

/** A `struct mmsghdr` for each frame, with a `struct iovec` of its own. Both stay where they are until the end. */
function messages(frames: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
  const vectors = new DataView(new ArrayBuffer(count * IOVEC));
  const headers = new DataView(new ArrayBuffer(count * MMSGHDR));
  const addressOf = (buffer: ArrayBuffer) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const [data, table] = [addressOf(frames.buffer), addressOf(vectors.buffer)];
  for (let i = 0; i < count; i++) {
    vectors.setBigUint64(i * IOVEC, data + BigInt(i * LENGTH), true); // iov_base
    vectors.setBigUint64(i * IOVEC + 8, BigInt(LENGTH), true); // iov_len
    headers.setBigUint64(i * MMSGHDR + 16, table + BigInt(i * IOVEC), true); // msg_iov
    headers.setBigUint64(i * MMSGHDR + 24, 1n, true); // msg_iovlen
  }
  kept.push(frames, vectors);
  return new Uint8Array(headers.buffer);
}

/** What native code points into. */
const kept: unknown[] = [];

function octets(mac: string): readonly number[] {
  return mac.split(":").map((octet) => parseInt(octet, 16));
}

// In user-mode Linux this is part of one program, whose entry sees to it.
if (import.meta.main && import.meta.url.endsWith("/frames.ts")) {
  await sendFramesHere(JSON.parse(Deno.args[1]!));
}
