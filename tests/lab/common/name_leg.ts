/** How containers reach the name server of their host. No server needs to run: its namespace answers pings. */
import assert from "node:assert/strict";
import { NAME_SERVER_IP, NAME_SERVER_MAC } from "../../../mod/core/name_leg.ts";
import { formatMac } from "../../../mod/core/addr.ts";
import { Capture } from "./container.ts";
import { exec } from "./process.ts";
import type { Host, World } from "./world.ts";

const QUICK = ["-c", "5", "-i", "0.05", "-W", "3"] as const;

/** Each container reaches that of its own host, asks nobody for it, and no other host sees anything of it. */
export async function nameServersReached(world: World): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  await using stray = await Capture.start(two.netns, "ethmesh", `host ${NAME_SERVER_IP} or arp`);
  const before = await Promise.all(world.hosts.map(echoes));
  const { received, sent } = await one.mustPing(NAME_SERVER_IP, ...QUICK);
  const after = await Promise.all(world.hosts.map(echoes));
  const [own, others] = after.map((count, i) => count - before[i]!);
  // Where answers are slow, ping sends more than it must; the last ones may be under way.
  assert.ok(own! >= received && own! <= sent, `${own} of ${sent} requests`);
  assert.equal(others, 0);
  await one.mustPing(two.address, "-c", "2", "-i", "0.05", "-W", "3"); // what was sent before has arrived by now
  const strange = (await stray.stop()).filter((line) => line.includes(NAME_SERVER_IP));
  assert.deepEqual(strange, []);
  await two.mustPing(NAME_SERVER_IP, ...QUICK);
  const neighbours = await one.exec("ip", "neigh", "show", "to", NAME_SERVER_IP);
  assert.match(neighbours, new RegExp(`lladdr ${formatMac(NAME_SERVER_MAC)} PERMANENT`));
}

/** How many echo requests the namespace of a host's name server has taken. */
async function echoes({ daemon: { pid }, netns }: Host): Promise<number> {
  const own = Deno.readLinkSync(`/proc/${pid}/ns/net`);
  const fds = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => `/proc/${pid}/fd/${name}`);
  const leads = (path: string) => {
    try {
      return Deno.readLinkSync(path);
    } catch {
      return ""; // closed meanwhile
    }
  };
  const path = fds.find((fd) => leads(fd).startsWith("net:[") && leads(fd) !== own);
  if (path === undefined) throw new Error(`The daemon on ${netns} has no namespace for a name server`);
  const text = await exec(["nsenter", `--net=${path}`, "cat", "/proc/thread-self/net/snmp"], {});
  const [names, values] = text.split("\n").filter((line) => line.startsWith("Icmp:")).map((l) =>
    l.split(" ")
  );
  return Number(values![names!.indexOf("InEchos")]);
}
