/** Looks for what the kernel drops by `rp_filter`: reads its settings and counters, knocks and listens. */
import { PacketListener } from "../../../ffi/packet_listener.ts";
import { StreamSocket } from "../../../ffi/stream_socket.ts";
import { type Endpoint, type Ip, ipFromBytes } from "../../core/addr.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import type { KnockHeard, ReversePathLook } from "./reverse_path.ts";
import { ownInterfaces } from "./own_interfaces.ts";

const SETTINGS = "/proc/sys/net/ipv4/conf";
/** How long an answer may take: one that is lost is sent again after a second. */
const PATIENCE_MS = 1_500;
const LOOK_MS = 20;
const IPV4_SOURCE = 12;

/** Looks at this host. */
export function reversePathHere(): ReversePathLook {
  return {
    settings: () =>
      new Map(
        [...Deno.readDirSync(SETTINGS)].flatMap(({ name }) => {
          const text = readTextIfReadable(`${SETTINGS}/${name}/rp_filter`)?.trim();
          return text === undefined ? [] : [[name, Number(text)] as const];
        }),
      ),
    dropped: () => droppedIn(readTextIfReadable("/proc/thread-self/net/netstat") ?? ""),
    knock,
  };
}

/** The kernel's count of packets that it dropped for their way back, from the text of /proc/net/netstat. */
export function droppedIn(netstat: string): number {
  const [names, values] = netstat.split("\n").filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(/\s+/));
  return Number(values?.[names?.indexOf("IPReversePathFilter") ?? -1] ?? 0);
}

async function knock(all: readonly Endpoint[]): Promise<readonly KnockHeard[]> {
  using undo = new DisposableStack();
  const { byAddress, names } = ownInterfaces();
  const listener = undo.use(new PacketListener("ipv4", all.map(({ ip }) => ip)));
  const begun = all.flatMap((at) => {
    try {
      const socket = undo.use(StreamSocket.connect("tcp", at));
      return [{ at, socket, leavesBy: byAddress.get(socket.local?.ip ?? at.ip)?.name }];
    } catch {
      return []; // no way there: that is told elsewhere
    }
  });
  const answered = new Set<Endpoint>();
  const arrived = new Map<Ip, Set<string>>();
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    for (let heard = listener.receive(); heard !== undefined; heard = listener.receive()) {
      const ip = ipFromBytes(heard.bytes.subarray(IPV4_SOURCE, IPV4_SOURCE + 4));
      const name = names.get(heard.interface);
      if (ip === undefined || name === undefined) continue;
      arrived.set(ip, (arrived.get(ip) ?? new Set()).add(name));
    }
    for (const { at, socket } of begun) {
      if (answered.has(at)) continue;
      const written = socket.write(new Uint8Array(0)); // there is no room before it is connected
      if (written === 0 || written === -2 && /refused/i.test(socket.failure ?? "")) answered.add(at);
    }
    if (begun.every(({ at }) => answered.has(at))) break;
  }
  return begun.map(({ at, leavesBy }) => ({
    ...{ at, leavesBy, answered: answered.has(at) },
    arrivedAt: [...arrived.get(at.ip) ?? []],
  }));
}
