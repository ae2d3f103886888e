/** Hosts say what they carried from and to each other. */
import assert from "node:assert/strict";
import { note } from "./notes.ts";
import type { Host, World } from "./world.ts";

const PINGS = 40;
const SIZE = 1000;
/** Ethernet, IP and ICMP headers. */
const FRAME = SIZE + 42;

interface Carried {
  received: number;
  receivedBytes: number;
  sent: number;
  sentBytes: number;
}

/** What the other of two hosts sent and was sent, over both overlays. */
async function carried(host: Host): Promise<Carried> {
  const { connections, name, peers } = await host.status();
  const sum = { received: 0, receivedBytes: 0, sent: 0, sentBytes: 0 };
  const traffic = connections[0]!.traffic;
  assert.deepEqual(peers.find((peer) => peer.name !== name)!.traffic, traffic);
  for (const one of traffic === null ? [] : [traffic.fastdp, traffic.sleeve]) {
    sum.received += one.receivedPackets;
    sum.receivedBytes += one.receivedBytes;
    sum.sent += one.sentPackets;
    sum.sentBytes += one.sentBytes;
  }
  return sum;
}

/** Every ping is counted once, on both hosts and in both directions, whether its flow still stands or not. */
export async function trafficCounted(world: World): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  await one.mustPing(two.address, "-c", "2", "-i", "0.1");
  const assertPinged = async (before: readonly Carried[], most: number) => {
    for (const [i, host] of world.hosts.entries()) {
      const now = await carried(host);
      note(`${host.netns}: ${JSON.stringify(now)}`);
      for (const way of ["received", "sent"] as const) {
        const packets = now[way] - before[i]![way];
        const bytes = now[`${way}Bytes`] - before[i]![`${way}Bytes`];
        // Neighbours ask for each other now and then, and hosts announce what is attached.
        assert.ok(
          packets >= PINGS && packets < most + PINGS / 2,
          `${way} ${packets} packets on ${host.netns}`,
        );
        assert.ok(
          bytes >= PINGS * FRAME && bytes < (most + PINGS / 5) * FRAME,
          `${way} ${bytes} bytes on ${host.netns}`,
        );
      }
    }
  };
  // Where answers are slow, ping sends more than it must; what is under way when it ends is counted later.
  const ping = async () =>
    (await one.mustPing(two.address, "-c", String(PINGS), "-i", "0.01", "-s", String(SIZE))).sent;
  const before = await Promise.all(world.hosts.map(carried));
  const first = await ping();
  await assertPinged(before, first);
  const again = await Promise.all(world.hosts.map(carried));
  const second = await ping();
  const addresses = two.addresses.map((address) => `${address}/24`);
  await world.host(2).run("detach", `netns:${two.netns}`); // its flows go
  await world.host(2).attach(two, ...addresses);
  await assertPinged(again, second + first - PINGS);
  assert.match(
    await world.host(1).run("status", "connections"),
    / RECEIVED +SENT +PEER\n(.* [0-9.]+ k?M?B ){2}/,
  );
  assert.match(
    await world.host(1).run("status", "peers"),
    /: received [0-9.]+ k?M?B in [0-9]+ packets, sent /,
  );
}
