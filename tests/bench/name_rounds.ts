/** How soon a name that one host gives is answered by another one. */
import { inNetns } from "../../ffi/netns.ts";
import { waitReadable } from "../../ffi/poll.ts";
import { StreamSocket } from "../../ffi/stream_socket.ts";
import { callDaemon } from "../../mod/control/client.ts";
import { type Ip, parseIp } from "../../mod/core/addr.ts";
import { questionFor } from "../../mod/dns/upstream/follow.ts";
import { encodeName } from "../../mod/wire/dns/dns_text.ts";
import { until } from "../lab/common/process.ts";
import type { Host, World } from "../lab/common/world.ts";

const NAMES = 101;
const SERVER = { ip: parseIp("127.0.0.1") as Ip, port: 53 };

/** Milliseconds from `dns add` on one host to the first answer of the other one, the quickest first. */
export async function newNameMs(world: World): Promise<readonly number[]> {
  const [one, two] = world.hosts as [Host, Host];
  await one.up();
  await two.up("--peers", one.address, "--dns-listen", `${SERVER.ip}:${SERVER.port}`);
  await two.established();
  using socket = inNetns(`/run/netns/${two.netns}`, () => StreamSocket.connect("udp", SERVER));
  await until("names are answered", () => Promise.resolve(asks(socket, "nobody") !== undefined), {
    ms: 10_000,
  });
  const times: number[] = [];
  for (let i = 0; i < NAMES; i++) {
    const body = { name: `new${i}`, records: ["192.0.2.1"], order: null };
    const started = performance.now();
    const added = callDaemon({ method: "POST", path: "/dns/add", body }, {
      runDir: one.runDir,
      timeoutMs: 10_000,
    });
    while (asks(socket, `new${i}`) !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    times.push(performance.now() - started);
    await added;
  }
  return times.toSorted((a, b) => a - b);
}

/** How many records are answered for a name; undefined: nothing is answered in time. */
function asks(socket: StreamSocket, name: string): number | undefined {
  const { message } = questionFor(encodeName(`${name}.mesh.internal.`), 1);
  socket.write(message);
  const into = new Uint8Array(4_096);
  if (!waitReadable(socket.fd, 100) || socket.read(into) < 12) return undefined;
  return into[6]! << 8 | into[7]!;
}
