/** One end of a sleeve link without mesh and datapath: TAP, engine, UDP. `sleeve_end.ts SELF PEER-ADDRESS CIPHER PARTIAL`,
 * in the network namespace of its host; sleeve_tap.ts starts two of them. */
import { AesGcm } from "../../ffi/aes_gcm.ts";
import { Poller } from "../../ffi/poll.ts";
import { SodiumSecretbox } from "../../ffi/sodium.ts";
import { Tap } from "../../ffi/tap.ts";
import { UdpSocket } from "../../ffi/udp_socket.ts";
import { type Ip, parseIp } from "../../mod/core/addr.ts";
import type { PeerName, ShortId } from "../../mod/core/names.ts";
import type { LinkId, LinkProtection } from "../../mod/core/overlay_port.ts";
import type { Millis } from "../../mod/core/time.ts";
import { chooseChannel } from "../../mod/overlay/ports/sleeve_channel.ts";
import { SleeveEngine } from "../../mod/sleeve/sleeve_engine.ts";
import { gcmKeys } from "../../mod/sleeve/sleeve_seal.ts";
import { loadHkdf } from "../../mod/sys/sealer.ts";
import type { SleeveCarrier, SleeveNews } from "../../mod/overlay/ports/sleeve_port.ts";
import { type PeerNumber, peerNumber, sleeveOverheads } from "../../mod/wire/mesh/sleeve.ts";
import { vniOf } from "../../mod/wire/packet/vxlan.ts";
import { TAP_NAME, TAP_PACKET } from "../../mod/overlay/ports/tap_port.ts";

/** UDP port of both ends. */
const PORT = 6783;
/** Packets of the TAP in one round. */
const TAP_ROUND = 16;
const NAMES = ["02:00:00:00:00:01", "02:00:00:00:00:02"] as PeerName[];
const KEY = new Uint8Array(32).fill(7);

const [which = "0", remote = "", cipher = "plain", partial = "partial"] = Deno.args;
const self = Number(which);
const protection: LinkProtection = cipher === "plain"
  ? { kind: "clear" }
  : { kind: "sealed", sessionKey: KEY };
const overheads = sleeveOverheads({ sealed: cipher !== "plain" });
const path = { mtu: 1_500 - overheads.df, fragmentsArrive: true };
const shorts = (short: number) => (short + 1) as ShortId;
const link = 1 as LinkId;
const deriveKey = await loadHkdf();

using tap = Tap.open({ name: TAP_NAME, longest: TAP_PACKET });
const socket = UdpSocket.open({ port: PORT });
const carrier: SleeveCarrier = {
  link,
  peer: NAMES[1 - self]!,
  outbound: self === 0,
  protection,
  extensions: { partial: partial === "partial", gcm: cipher === "gcm" },
  local: (self === 0 ? "192.0.2.1" : "192.0.2.2") as Ip,
  remote: { ip: parseIp(remote)!, port: PORT },
  mtu: path.mtu,
  maxPayload: 1_500 - 28,
  use: { largest: 65_535, asleep: false },
  unsettled: false,
  carried: () => false,
  heard: () => {},
  channel: (frame) => chooseChannel(frame, path),
};
using engine = new SleeveEngine({
  socket,
  joinUdp: tap.udpOffload && Deno.env.get("NOUSO") === undefined,
  ciphers: {
    secretbox: (key) => new SodiumSecretbox(key),
    gcm: (key, outbound) => new AesGcm(gcmKeys(deriveKey, key, outbound)),
  },
  mtu: 65_535,
  self: peerNumber(NAMES[self]!),
  directory: {
    self: shorts(self),
    shortOfNumber: (peer) => peer === peerNumber(NAMES[0]!) ? 1 : peer === peerNumber(NAMES[1]!) ? 2 : -1,
    numberOf: (short) => short === 1 || short === 2 ? peerNumber(NAMES[short - 1]!) : -1 as PeerNumber,
  },
  take: (_key, bytes, from, to) => {
    writes.count++;
    if (!tap.write(bytes, from, to)) writes.refused++;
  },
});
const writes = { count: 0, refused: 0, reads: 0, rounds: 0 };
engine.perform({ kind: "sleeve-open", carrier }, 0 as Millis);
const key = { link, id: vniOf(shorts(self), shorts(1 - self)) };
const packet = { from: 0, to: 0, broadcast: false };
const poller = new Poller([tap.fd, ...engine.fds]);
const tell = (news: SleeveNews) => console.error(news);
const at = { now: 0 as Millis, isReady: (index: number) => poller.isReady(index + 1) };
console.log("ready");
let reported = performance.now();
for (let more = false;;) {
  poller.wait(more ? 0 : 1_000);
  let tapMore = false;
  if (poller.isReady(0)) {
    tapMore = true;
    for (let i = 0; i < TAP_ROUND; i++) {
      const length = tap.read(0);
      if (length === 0) {
        tapMore = false;
        break;
      }
      writes.reads++;
      packet.to = length;
      engine.send(key, tap.buffer, packet);
    }
  }
  more = engine.drain(tell, at) || tapMore;
  engine.flush(tell);
  writes.rounds++;
  if (Deno.env.get("VERBOSE") !== undefined && performance.now() - reported > 2_000) {
    reported = performance.now();
    console.error(JSON.stringify({ self, ...writes, clamped: engine.clamped, ...engine.counts() }));
    writes.count =
      writes.refused =
      writes.reads =
      writes.rounds =
        0;
  }
}
