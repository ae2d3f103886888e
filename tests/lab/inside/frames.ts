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

/** Sends frames from a namespace and waits until all have left; gives the seconds that sending took. */
export async function sendFrames(netns: string, order: FrameOrder): Promise<number> {
  const runner = new URL(import.meta.url).pathname; // everything in here is one bundle
  const flags = ["run", "-A", "-q", "--no-config", "--no-lock", "--no-code-cache"];
  const text = await exec([Deno.execPath(), ...flags, runner, "frames", JSON.stringify(order)], { netns });
  return Number(text);
}

/** The process that sends: prints how many seconds it took. */
export async function sendFramesHere(order: FrameOrder): Promise<void> {
  using library = Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" }, // int socket(int, int, int)
    bind: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // int bind(int, const struct sockaddr *, socklen_t)
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" }, // ssize_t send(int, const void *, size_t, int)
    if_nametoindex: { parameters: ["buffer"], result: "u32" }, // unsigned if_nametoindex(const char *)
  });
  const { socket, bind, send, if_nametoindex } = library.symbols;
  const fd = socket(AF_PACKET, SOCK_RAW, 0);
  const address = new DataView(new ArrayBuffer(20)); // struct sockaddr_ll
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, ETHERTYPE);
  address.setInt32(4, if_nametoindex(new TextEncoder().encode(`${order.device}\0`)), true);
  if (fd < 0 || bind(fd, new Uint8Array(address.buffer), 20) !== 0) {
    throw new Error("Cannot open a packet socket");
  }
  const started = performance.now();
  let sent = 0;
  for (const source of order.sources) {
    for (const destination of order.destinations) {
      const due = order.perSecond === 0 ? 0 : started + sent / order.perSecond * 1000;
      const ahead = due - performance.now();
      if (ahead > 1) await new Promise((resolve) => setTimeout(resolve, ahead));
      const frame = new Uint8Array(LENGTH);
      frame.set(octets(destination));
      frame.set(octets(source), 6);
      new DataView(frame.buffer).setUint16(12, ETHERTYPE);
      while (send(fd, frame, BigInt(LENGTH), 0) < 0n) await new Promise((resolve) => setTimeout(resolve, 1));
      sent++;
    }
  }
  console.log((performance.now() - started) / 1000);
}

function octets(mac: string): readonly number[] {
  return mac.split(":").map((octet) => parseInt(octet, 16));
}
