/** Hosts behind a router that hides them. */
import assert from "node:assert/strict";
import { note } from "../common/notes.ts";
import { ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { backAfter, CARRIES, declareTests, hostWorld } from "./host_lab.ts";
import { hide, type Nat, singleDatagrams } from "./underlay.ts";

/** For so long the router remembers silent conversations: not much longer than ten seconds, after which idle links send
 * heartbeats, and long enough for one that a busy machine sends late. */
const REMEMBERED_S = 16;

const nats = new WeakMap<World, Nat>();

const hidden = suite({
  name: "host kernel, NAT",
  open: () => hostWorld({ hosts: 3, containers: 3 }),
  prepare: async (world) => {
    const nat = await hide(world, 3);
    nats.set(world, nat);
    await nat.masquerade(":20000-20999");
    await nat.remember(REMEMBERED_S);
    await world.upAll();
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
  },
}, {
  "a host behind NAT reaches all others, and they reach it": async (world) => {
    await world.container(3).mustPing("10.2.1.1", "-c", "3", "-i", "0.1", "-W", "3");
    await world.container(1).mustPing("10.2.1.3", "-c", "3", "-i", "0.1", "-W", "3");
    await world.container(2).mustPing("10.2.1.3", "-c", "3", "-i", "0.1", "-W", "3");
    const rate = await world.container(3).iperf(world.container(1), 2, "-C", "cubic");
    note(`TCP out of it ${(rate / 1e9).toFixed(2)} Gbit/s`);
    assert.ok(rate > CARRIES, `${rate}`);
    const links = (await world.host(1).status()).connections;
    assert.ok(
      links.some(({ address }) => address.startsWith(nats.get(world)!.outside)),
      JSON.stringify(links),
    );
  },
  "heartbeats keep the router's memory alive": async (world) => {
    await pause(1_000 * REMEMBERED_S + 2_000);
    await world.container(1).mustPing("10.2.1.3", "-c", "1", "-W", "3");
  },
  "a router whose way to the host gets narrower answers that packets are too big, and is believed": async (
    world,
  ) => {
    for (const host of world.hosts) await singleDatagrams(host);
    await ip(["link set p3 mtu 1300"], nats.get(world)!.netns);
    const started = performance.now();
    const there = await backAfter(world.container(1), "10.2.1.3", 20_000, "-s", "3000");
    note(`large pings there and back after ${there} ms`);
    const link = await until("the link knows", async () => {
      const { connections } = await world.host(1).status();
      const [link] = connections.filter(({ peer }) => peer === world.host(3).peerName);
      return link!.mtu! <= 1300 && link;
    });
    note(`MTU ${link.mtu} after ${(performance.now() - started).toFixed(0)} ms`);
    await world.container(3).mustPing("10.2.1.1", "-s", "5000", "-c", "3", "-i", "0.1", "-W", "3");
  },
  "a router that forgets, and gives another port, is followed": async (world) => {
    const nat = nats.get(world)!;
    await nat.masquerade(":30000-30999");
    await nat.forget();
    note(`back after ${await backAfter(world.container(1), "10.2.1.3", 30_000)} ms`);
  },
});

declareTests(hidden);
