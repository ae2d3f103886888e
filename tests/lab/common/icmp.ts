/** What any stranger can send to a host: an ICMP message about a packet that nobody sent. */
import { ipToBytes, macToBytes, parseIp, parseMac } from "../../../mod/core/addr.ts";
import { internetChecksum } from "../../../mod/core/checksum.ts";
import { writeFragNeeded, writePacketTooBig } from "../../../mod/wire/packet/icmp_too_big.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { links } from "./links.ts";
import type { Host, World } from "./world.ts";

const ETHERNET = 14;
const IPV4 = 20;
const IPV6 = 40;

/** Tells host n in one message that its UDP packets from `port` to the same port of `other` must not be larger than `mtu`. */
export async function fragNeeded(
  world: World,
  n: number,
  about: { readonly other: string; readonly port: number; readonly mtu: number },
): Promise<void> {
  const host = world.host(n);
  const refused = await frameOf(host, 0x0800, ETHERNET + IPV4 + 8);
  const view = new DataView(refused.buffer);
  refused.set([0x45, 0, 1400 >> 8, 1400 & 255, 0, 1, 0x40, 0, 64, 17], ETHERNET);
  refused.set(ipToBytes(parseIp(host.address)!), ETHERNET + 12);
  refused.set(ipToBytes(parseIp(about.other)!), ETHERNET + 16);
  view.setUint16(ETHERNET + 10, internetChecksum(refused, ETHERNET, ETHERNET + IPV4));
  view.setUint16(ETHERNET + IPV4, about.port);
  view.setUint16(ETHERNET + IPV4 + 2, about.port);
  view.setUint16(ETHERNET + IPV4 + 4, 1380);
  const whole = new Uint8Array(ETHERNET + 1400);
  whole.set(refused);
  const out = new Uint8Array(128);
  const length = writeFragNeeded(whole, 0, whole.length, { mtu: about.mtu, out, at: 0 });
  sendTo(world, n, out.subarray(0, length));
}

/** The same over IPv6. */
export async function packetTooBig(
  world: World,
  n: number,
  about: { readonly other: string; readonly port: number; readonly mtu: number },
): Promise<void> {
  const host = world.host(n);
  const refused = await frameOf(host, 0x86dd, ETHERNET + IPV6 + 1_400);
  const view = new DataView(refused.buffer);
  refused.set([0x60, 0, 0, 0, 1400 >> 8, 1400 & 255, 17, 64], ETHERNET);
  refused.set(ipToBytes(parseIp(host.address)!), ETHERNET + 8);
  refused.set(ipToBytes(parseIp(about.other)!), ETHERNET + 24);
  view.setUint16(ETHERNET + IPV6, about.port);
  view.setUint16(ETHERNET + IPV6 + 2, about.port);
  view.setUint16(ETHERNET + IPV6 + 4, 1400);
  const out = new Uint8Array(1_500);
  const length = writePacketTooBig(refused, 0, refused.length, { mtu: about.mtu, out, at: 0 });
  sendTo(world, n, out.subarray(0, length));
}

/** The beginning of a frame of so many octets that a host would have sent to the stranger. */
async function frameOf(host: Host, etherType: number, octets: number): Promise<Uint8Array<ArrayBuffer>> {
  const { address } = (await links(host.netns)).find(({ ifname }) => ifname === "eth0")!;
  const frame = new Uint8Array(octets);
  frame.set([2, 0, 0, 0, 0, 99]); // the stranger
  frame.set(macToBytes(parseMac(address)!), 6);
  new DataView(frame.buffer).setUint16(12, etherType);
  return frame;
}

function sendTo(world: World, n: number, answer: Uint8Array<ArrayBuffer>): void {
  if (answer.length === 0) throw new Error("Nothing is to be answered");
  sendFrames(`/run/netns/${world.fabric}`, `p${n}`, [answer.slice()]);
}
