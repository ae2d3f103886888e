/** Hosts that switch by programs in the kernel: what is sent between known addresses does not wait for its flow. */
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { mesh } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import { macText } from "../common/frames.ts";
import { note } from "../common/notes.ts";
import { until } from "../common/process.ts";
import { type Suite, suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld, tunnelIsUsed } from "./host_lab.ts";

/** Addresses behind each container. */
const MACHINES = 20;
const EVERYBODY = [255, 255, 255, 255, 255, 255] as const;

const machine = (side: number, index: number) => [2, 0, 0x5e, 0x20, side, index] as const;

function frame(to: readonly number[], from: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(60);
  bytes.set([...to, ...from, 0x88, 0xb5]);
  return bytes;
}

const send = ({ netns }: { readonly netns: string }, frames: readonly Uint8Array<ArrayBuffer>[]) =>
  sendFrames(`/run/netns/${netns}`, "ethmesh", frames);

const flowsOf = async (host: Host) => (await host.status()).datapath.flows;

function newFlows(where: string, ipv6: boolean): Suite {
  const open = () =>
    hostWorld({
      ...{ hosts: 2, containers: 2, upOptions: ["--datapath", "ebpf"] },
      ...(ipv6 ? { ipv6: "all" } : {}),
    });
  return suite({ name: `host kernel, new flows over ${where}`, open, prepare: mesh }, {
    "conversations between known addresses begin while both daemons stand still, and have flows afterwards":
      async (world: World) => {
        const [one, two] = [world.container(1), world.container(2)];
        await using heard = await Capture.start(two.netns, "ethmesh", "ether proto 0x88b5", "-Q", "in");
        await using back = await Capture.start(one.netns, "ethmesh", "ether proto 0x88b5", "-Q", "in");
        await tunnelIsUsed(world);
        await one.mustPing(two.address, "-c", "3", "-i", "0.05", "-W", "3");
        const indexes = Array.from({ length: MACHINES }, (_, i) => i);
        send(one, indexes.map((i) => frame(EVERYBODY, machine(1, i))));
        send(two, indexes.map((i) => frame(EVERYBODY, machine(2, i))));
        await until(
          "both hosts know the addresses",
          () => heard.packets.length >= MACHINES && back.packets.length >= MACHINES,
        );
        const before = await Promise.all(world.hosts.map(flowsOf));
        const pairs = indexes.flatMap((from) => indexes.map((to) => frame(machine(2, to), machine(1, from))));
        for (const { daemon } of world.hosts) daemon.kill("SIGSTOP");
        try {
          send(one, pairs);
          await until("all have arrived", () => heard.packets.length >= MACHINES + pairs.length);
        } finally {
          for (const { daemon } of world.hosts) daemon.kill("SIGCONT");
        }
        for (const [i, host] of world.hosts.entries()) {
          await until("all have flows", async () => await flowsOf(host) - before[i]! >= pairs.length);
        }
        send(one, pairs);
        await until("all have arrived again", () => heard.packets.length >= MACHINES + 2 * pairs.length);
        note(`${pairs.length} conversations`);
      },
    "an address that has moved to another host is found there": async (world) => {
      const [one, two] = [world.container(1), world.container(2)];
      const [mac, other] = [machine(2, 0), machine(2, 1)];
      await using here = await Capture.start(one.netns, "ethmesh", `ether dst ${macText(mac)}`, "-Q", "in");
      await until("the loop guard believes it, and frames for it come here", () => {
        send(one, [frame(EVERYBODY, mac)]);
        send(two, [frame(mac, other)]);
        return here.packets.length > 0;
      }, { everyMs: 100 });
    },
  });
}

declareTests(newFlows("IPv4", false), newFlows("IPv6", true));
