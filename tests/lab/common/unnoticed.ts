/** Changes that nobody in a container may notice, because the kernel carries frames on. */
import assert from "node:assert/strict";
import { parsePing } from "./container.ts";
import { note } from "./notes.ts";
import { type Background, pause, until } from "./process.ts";
import { Stream } from "./stream.ts";
import type { World } from "./world.ts";

/** Does something while a TCP stream and a ping run between the first two containers; neither may notice. */
export async function unnoticed(world: World, change: () => Promise<void>): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  await one.mustPing(two.address, "-c", "3", "-i", "0.1", "-W", "3");
  // The stream leaves some of the processor to the daemon that starts.
  await using stream = await Stream.start(one, two, "-b", "200M");
  await using ping = one.background("ping", "-n", "-i", "0.1", two.address);
  await pause(1_000);
  await change();
  const before = lastAnswer(ping);
  await until("pings are answered after the change", () => lastAnswer(ping) >= before + 15);
  ping.kill("SIGINT");
  await ping.ended();
  const halves = stream.rates();
  const result = parsePing(ping.output());
  // The last ones may have been under way when ping ended.
  const last = lastAnswer(ping);
  assert.ok(last > 20 && result.answered.size === last, `lost pings:\n${ping.output()}`);
  const seconds = Array.from(
    { length: halves.length >> 1 },
    (_, i) => (halves[2 * i]! + halves[2 * i + 1]!) / 2,
  );
  note(`${result.sent} pings, none lost; TCP per second in Mbit/s: ${seconds.map(Math.round)}`);
  assert.ok(seconds.length >= 3 && seconds.every((rate) => rate > 1), `${seconds}`);
}

function lastAnswer(ping: Background): number {
  return Math.max(0, ...parsePing(ping.output()).answered);
}
