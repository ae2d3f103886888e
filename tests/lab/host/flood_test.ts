/** Containers that begin conversations without end: their own frames are delayed and lost, those of others are not. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import type { Container } from "../common/container.ts";
import { macText, sendFrames } from "../common/frames.ts";
import { note } from "../common/notes.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { DATAPATHS, declareTests, hostWorld, withDatapath } from "./host_lab.ts";

/** Each container that floods sends from and to so many addresses that were never seen, for five seconds. With a bridge all
 * goes through user space, which gets little of a busy machine. */
const FLOOD_OF: Readonly<Record<string, { readonly machines: number; readonly perSecond: number }>> = {
  ebpf: { machines: 200, perSecond: 8_000 },
  bridge: { machines: 50, perSecond: 500 },
};
const FLOODS = 3;

declareTests(...DATAPATHS.map((datapath) =>
  suite({
    name: `host kernel, floods${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 2 + FLOODS, upOptions: ["--datapath", datapath] }),
    prepare: async (world) => {
      await mesh(world);
      for (let i = 0; i < FLOODS; i++) {
        await world.host(1).attach(world.container(3 + i), `10.2.1.${3 + i}/24`);
      }
      await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
    },
  }, {
    "three containers flood, others go on talking and begin to": async (world) => {
      const [one, two] = [world.container(1), world.container(2)];
      const order = FLOOD_OF[datapath]!;
      const floods = Promise.all(
        Array.from({ length: FLOODS }, (_, i) => flood(world.container(3 + i), i, order)),
      );
      let done = false;
      void floods.catch(() => {}).finally(() => done = true); // what fails is thrown where it is awaited
      const going = one.ping(two.address, "-c", "25", "-i", "0.2", "-W", "3");
      let [tries, answered] = [0, 0];
      while (!done) { // the other end begins anew each time, with a question to everybody
        await two.exec("ip", "neigh", "flush", "dev", "ethmesh");
        answered += (await two.ping(one.address, "-c", "1", "-W", "10")).received;
        tries++;
      }
      const { received, sent, times } = await going;
      const seconds = await floods;
      const { datapath: { overruns } } = await world.host(1).status();
      note(`${received} of ${sent} answered, the slowest after ${Math.round(Math.max(...times))} ms`);
      note(
        `${answered} of ${tries} began anew; floods took ${seconds.join(", ")} s; ${overruns} beyond bounds`,
      );
      assert.ok(received >= sent - 1, `${received} of ${sent}`);
      assert.ok(answered >= tries - 1, `${answered} of ${tries}`);
      await isWhole(world);
    },
  })
));

async function flood(
  { netns }: Container,
  number: number,
  { machines: count, perSecond }: { readonly machines: number; readonly perSecond: number },
): Promise<number> {
  const machines = (side: number) =>
    Array.from({ length: count }, (_, i) => macText([2, 0, 0x5e, number, side, i]));
  const order = { sources: machines(1), destinations: machines(2), perSecond };
  return await sendFrames(netns, { device: "ethmesh", ...order });
}

async function isWhole(world: World): Promise<void> {
  for (const host of world.hosts) {
    const { connections } = await host.status();
    assert.ok(connections.every(({ state }) => state === "established"), JSON.stringify(connections));
    assert.doesNotMatch(host.daemon.output(), /mesh\/disconnected/);
  }
}
