/** Frames for many: broadcast and multicast over a mesh that is not full, each copy once. */
import assert from "node:assert/strict";
import { hosts, line } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import { linkLocal } from "../common/links.ts";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";

export default suite({ name: "broadcast and multicast", open: () => hosts(3), prepare }, {
  "a broadcast reaches every container once": (world) => everyoneOnce(world, "10.2.1.255", ["-b"], "icmp"),
  "what a container sends to all passes a meter on its way to other hosts": async (world) => {
    await everyoneOnce(world, "10.2.1.255", ["-b"], "icmp");
    const floods = (await world.host(1).flows()).filter(({ actions, key }) =>
      /dst=ff:ff:ff:ff:ff:ff/.test(key) && !key.includes("tunnel(") && actions.includes("tunnel(")
    );
    assert.ok(floods.length > 0, "there is no flow for broadcasts");
    for (const { actions } of floods) assert.match(actions, /meter\([0-9]+\).*set\(tunnel\(/);
  },
  "an IPv4 multicast reaches every container once": (world) => everyoneOnce(world, "224.0.0.1", [], "icmp"),
  "an IPv6 multicast reaches every container once": async (world) => {
    for (const { netns } of world.containers) await linkLocal(netns); // a tentative one does not answer
    await everyoneOnce(world, "ff02::1%ethmesh", ["-6"], "icmp6");
  },
});

/** Three hosts in a line, and a second container on the last one. */
async function prepare(world: World): Promise<void> {
  await line(world);
  const [fourth] = await world.addContainers(1);
  await world.host(3).attach(fourth!, "10.2.1.4/24");
  for (const { netns } of world.containers) {
    await exec(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts"], { netns });
  }
}

/** Pings a group from container 1: each of the others must see each request once, and answer. */
async function everyoneOnce(
  world: World,
  group: string,
  options: readonly string[],
  protocol: string,
): Promise<void> {
  const [one, ...others] = world.containers;
  const request = protocol === "icmp6" ? "icmp6 and ip6[40] = 128" : "icmp[icmptype] = icmp-echo";
  const captures = await Promise.all(others.map(({ netns }) => Capture.start(netns, "ethmesh", request)));
  try {
    const count = 4;
    const { text } = await one!.ping(group, ...options, "-c", String(count), "-i", "0.3", "-W", "10");
    for (const [i, capture] of captures.entries()) {
      const who = others[i]!.netns;
      await until(`${who} sees ${count} requests`, () => capture.packets.length >= count);
      const packets = await capture.stop();
      assert.equal(packets.length, count, `${who} saw:\n${packets.join("\n")}`);
    }
    const answered = new Set([...text.matchAll(/bytes from ([0-9a-f.:]+)/g)].map((match) => match[1]));
    assert.ok(answered.size >= others.length, `answers came from ${[...answered].join(" ")}:\n${text}`);
  } finally {
    for (const capture of captures) await capture[Symbol.asyncDispose]();
  }
}
