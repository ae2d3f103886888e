import assert from "node:assert/strict";
import { portOwner } from "../../../mod/daemon/host/port_owner.ts";
import { freePort } from "../free_port.ts";

Deno.test("portOwner() names the program that listens on a port, and nobody for others", () => {
  const port = freePort("127.0.0.1"); // of which no program has the UDP port either
  using _listener = Deno.listen({ hostname: "127.0.0.1", port });
  const name = Deno.readTextFileSync("/proc/self/comm").trim();
  assert.equal(portOwner(port, "ipv4"), `${name} (process ${Deno.pid})`);
  assert.equal(portOwner(port, "ipv6"), `${name} (process ${Deno.pid})`);
  assert.equal(portOwner(0, "ipv4"), undefined);
});

Deno.test("portOwner() passes over connections, and over sockets whose process cannot be seen", () => {
  const head =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
  const line = (state: string) =>
    `   0: 0100007F:0035 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 999999999 1\n`;
  const tables: Record<string, string> = {
    "/proc/net/tcp": head + line("01"),
    "/proc/net/udp": head + line("07"),
  };
  assert.equal(portOwner(53, "ipv4", (path) => tables[path]), undefined);
});
