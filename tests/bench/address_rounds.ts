/** How fast addresses are handed out: on one host, and where another one has to give of its own. */
import { pause } from "../lab/common/process.ts";
import type { Host, World } from "../lab/common/world.ts";
import { median } from "./figures.ts";

const REQUESTS = 6_000;
const CLIENTS = 8;
const DONATIONS = 41;
const RANGE = "10.64.0.0/12";

/** Addresses a second, asked for by several clients of the control socket at once. */
export async function allocationsPerSecond(world: World): Promise<number> {
  const host = world.host(1);
  await host.up("--ip-range", RANGE);
  await ask(host, [`{"holder":"warm"}`]);
  let next = 0;
  const started = performance.now();
  await Promise.all(Array.from({ length: CLIENTS }, () =>
    ask(host, {
      *[Symbol.iterator]() {
        while (next < REQUESTS) yield `{"holder":"bench${next++}"}`;
      },
    })));
  return REQUESTS / (performance.now() - started) * 1_000;
}

/** Milliseconds of a request for which another host has to give addresses away. */
export async function donationMs(world: World): Promise<number> {
  const [one, two] = world.hosts as [Host, Host];
  await one.up("--ip-range", RANGE);
  await ask(one, [`{"holder":"first"}`]); // it owns everything from now on
  await two.up("--ip-range", RANGE, "--peers", one.address);
  await two.established();
  await pause(3_000);
  const times: number[] = [];
  for (let i = 0; i < DONATIONS; i++) {
    const started = performance.now();
    await ask(two, [`{"holder":"d","subnet":"10.65.${i}.0/24"}`]);
    times.push(performance.now() - started);
  }
  return median(times);
}

/** Has addresses allocated one after another on one connection. */
async function ask(host: Host, bodies: Iterable<string>): Promise<void> {
  using connection = await Deno.connect({ transport: "unix", path: `${host.runDir}/control.sock` });
  const [into, encoder, decoder] = [new Uint8Array(4096), new TextEncoder(), new TextDecoder()];
  for (const body of bodies) {
    const head = `POST /ipam/allocate HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n`;
    await connection.write(encoder.encode(head + body));
    let text = "";
    while (!text.includes("\r\n\r\n") || !text.endsWith("}")) {
      const read = await connection.read(into);
      if (read === null) throw new Error(`The daemon closed the connection after: ${text}`);
      text += decoder.decode(into.subarray(0, read));
    }
    if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(text);
  }
}
