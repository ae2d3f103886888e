/** A host gets another address under traffic that a kernel tunnel carries: in clear, and encrypted. */
import assert from "node:assert/strict";
import { sealingHosts } from "../common/arrangements.ts";
import { parsePing } from "../common/container.ts";
import { resetAll, startWithPasswords } from "../common/everyday.ts";
import { note } from "../common/notes.ts";
import { ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";

/** Between two pings. */
const EVERY_MS = 50;

export default suite({
  name: "renumbered host",
  open: () => sealingHosts(2),
}, {
  "the tunnel goes on from its new address at once, in both directions": async (world) => {
    await startWithPasswords(world, [undefined, undefined]);
    // The host that was dialled, then the one that dials.
    await follows(world, 1, { to: "192.168.50.101", silentMs: 700 });
    await follows(world, 2, { to: "192.168.50.102", silentMs: 700 });
    await resetAll(world);
  },
  "a sealed tunnel is left for user space at once, and there is a new one soon": async (world) => {
    await startWithPasswords(world, ["same secret", "same secret"]);
    await follows(world, 1, { to: "192.168.50.111", silentMs: 2_000 });
    await resetAll(world);
  },
});

/** Gives a host another address under traffic. Pings are lost for so long at most, and then a tunnel carries again. */
async function follows(
  world: World,
  index: 1 | 2,
  { to, silentMs }: { readonly to: string; readonly silentMs: number },
): Promise<void> {
  await until("tunnels carry", () => tunnelsCarry(world), { ms: 30_000 });
  const { address, netns } = world.host(index);
  const [one, two] = [world.container(1), world.container(2)];
  const options = ["-n", "-i", String(EVERY_MS / 1_000)];
  await using there = one.background("ping", ...options, two.address);
  await using back = two.background("ping", ...options, one.address);
  await pause(1_500);
  await ip([`addr del ${address}/24 dev eth0`, `addr add ${to}/24 dev eth0`], netns);
  const since = performance.now();
  world.host(index).address = to;
  await until("tunnels carry between the new addresses", () => tunnelsCarry(world, to), { ms: 30_000 });
  note(`a tunnel of a new connection after ${Math.round(performance.now() - since)} ms`);
  await pause(500);
  for (const ping of [there, back]) {
    ping.kill("SIGINT");
    await ping.ended();
    const { received, sent } = parsePing(ping.output());
    const silent = (sent - received) * EVERY_MS;
    note(`${sent - received} of ${sent} pings lost: ${silent} ms`);
    assert.ok(silent <= silentMs, `silent for ${silent} ms`);
  }
}

/** Whether all links use the fast path; `address`: that of one end. */
async function tunnelsCarry(world: World, address = ""): Promise<boolean> {
  const list = await Promise.all(world.hosts.map(async (host) => (await host.status()).connections));
  const links = list.flat();
  const carries = links.length >= 2 &&
    links.every(({ overlay, state }) => state === "established" && overlay === "fastdp");
  return carries && (address === "" || links.some((link) => link.address.startsWith(`${address}:`)));
}
