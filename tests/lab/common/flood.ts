/** A container that begins conversations without end: frames from and to ever new addresses, as fast as they go. */
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { exec } from "./process.ts";

const LENGTH = 60;
/** Frames of one burst; each has a source and a destination that were never seen. */
const BURST = 256;

/** Floods from a namespace for so long, in a process of its own; gives how many frames were sent. */
export async function flood(netns: string, seconds: number): Promise<number> {
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  const flags = ["run", "-A", "-q", "--frozen", "--no-check", "--config", config];
  const program = new URL(import.meta.url).pathname;
  return Number(await exec([Deno.execPath(), ...flags, program, `/run/netns/${netns}`, String(seconds)]));
}

function floodHere(path: string, seconds: number): number {
  const end = performance.now() + seconds * 1000;
  let sent = 0;
  for (let burst = 0; performance.now() < end; burst++) {
    const frames = Array.from({ length: BURST }, (_, i) => {
      const frame = new Uint8Array(LENGTH);
      const number = [burst >> 8 & 255, burst & 255, i];
      frame.set([2, 0, 0x5e, ...number, 2, 0, 0x5f, ...number, 0x88, 0xb5]);
      return frame;
    });
    try {
      sendFrames(path, "ethmesh", frames);
      sent += frames.length;
    } catch { /* its queue is full */ }
  }
  return sent;
}

if (import.meta.main) console.log(floodHere(Deno.args[0]!, Number(Deno.args[1])));
