/** TCP connections of the runtime that the kernel watches closely. */
import assert from "node:assert/strict";
import { libc } from "../../../ffi/c_symbols.ts";
import { packetCalls } from "../../../ffi/packet_symbols.ts";
import { watchTcp } from "../../../ffi/tcp_watch.ts";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";

libc(); // once for the process
packetCalls();

const TIMES = { idleSeconds: 4, againSeconds: 1, times: 4 } as const;

function endpoint({ hostname, port }: Deno.NetAddr): Endpoint {
  return { ip: hostname as Ip, port };
}

/** When the kernel asks next on a connection, in its ticks of 10 ms; undefined: it does not ask. */
function askedIn(local: Endpoint): number | undefined {
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, "0");
  const ip = local.ip.split(".").reverse().map((octet) => hex(Number(octet), 2)).join("");
  const line = Deno.readTextFileSync("/proc/net/tcp").split("\n").map((text) => text.trim().split(/\s+/))
    .find((fields) => fields[1] === `${ip}:${hex(local.port, 4)}`);
  const [timer, when] = line?.[5]?.split(":") ?? [];
  return timer === "02" ? parseInt(when!, 16) : undefined;
}

Deno.test("watchTcp() has the kernel ask about a quiet connection after seconds, and finds no other one", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [here, there] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port }),
    listener.accept(),
  ]);
  using _there = there;
  using conn = here;
  conn.setKeepAlive(true);
  const ends = { local: endpoint(conn.localAddr), remote: endpoint(conn.remoteAddr) };
  assert.ok(askedIn(ends.local)! > 1_000, "two hours, unless the machine is set otherwise");
  assert.equal(watchTcp(ends, TIMES), true);
  const ticks = askedIn(ends.local)!;
  assert.ok(ticks <= 400, `${ticks} ticks`);
  assert.equal(watchTcp({ ...ends, local: { ...ends.local, port: 1 } }, TIMES), false);
});
