/** Asks whether somebody else uses an address of this host, as a host does that has none yet (RFC 5227, section 2.1.1): from
 * such a question nobody learns anything wrong. */
import { PacketListener } from "../../../ffi/packet_listener.ts";
import { FrameSender } from "../../../ffi/packet_socket.ts";
import { StreamSocket } from "../../../ffi/stream_socket.ts";
import type { Endpoint, Ip, Mac } from "../../core/addr.ts";
import { arpProbe, decodeArp } from "../../wire/packet/arp.ts";
import type { OwnAddress, OwnAddressLook } from "./own_address.ts";
import { type OwnInterfaces, ownInterfaces } from "./own_interfaces.ts";

/** How often it is asked, and how long answers may take: who sleeps to save power takes a while. */
const TIMES = 3;
const BETWEEN_MS = 300;
const LOOK_MS = 20;
const IFF_NOARP = 0x80;

/** Looks at this host. */
export function ownAddressHere(): OwnAddressLook {
  let known: OwnInterfaces | undefined; // where there is nobody to be reached nothing is looked at
  const own = () => known ??= ownInterfaces();
  return { ownTowards: (to) => ownTowards(to, own()), others: (all) => others(all, own()) };
}

function ownTowards(to: Endpoint, { byAddress }: OwnInterfaces): OwnAddress | undefined {
  try {
    using socket = StreamSocket.connect("udp", to); // nothing is sent: the kernel chooses a way
    const ip = socket.local?.ip;
    const link = ip === undefined ? undefined : byAddress.get(ip);
    if (link?.mac === undefined || link.mac === 0 || (link.flags & IFF_NOARP) !== 0) return undefined;
    return { ip: ip!, name: link.name, mac: link.mac };
  } catch {
    return undefined; // no way there: that is told elsewhere
  }
}

async function others(
  all: readonly OwnAddress[],
  { links }: OwnInterfaces,
): Promise<ReadonlyMap<Ip, readonly Mac[]>> {
  using listener = new PacketListener("arp", all.map(({ ip }) => ip));
  using sender = new FrameSender();
  // Another interface of this host on the same segment may answer, too.
  const ours = new Set(links.flatMap(({ mac }) => mac ?? []));
  const found = new Map<Ip, Set<Mac>>();
  for (let asked = 0; asked < TIMES; asked++) {
    for (const { ip, mac, name } of all) sender.send(name, arpProbe(mac, ip));
    for (const end = performance.now() + BETWEEN_MS; performance.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      for (let heard = listener.receive(); heard !== undefined; heard = listener.receive()) {
        const said = decodeArp(heard.bytes);
        if (said === undefined || ours.has(said.senderMac)) continue;
        const name = links.find(({ index }) => index === heard!.interface)?.name;
        if (!all.some((one) => one.ip === said.senderIp && one.name === name)) continue; // of another segment
        found.set(said.senderIp, (found.get(said.senderIp) ?? new Set()).add(said.senderMac));
      }
    }
  }
  return new Map([...found].map(([ip, macs]) => [ip, [...macs]]));
}
