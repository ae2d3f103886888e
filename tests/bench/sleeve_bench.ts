/** Cost of sleeve's building blocks, without ciphers and system calls: `deno bench tests/bench/sleeve_bench.ts`. */
import { sumWords } from "../../mod/core/checksum.ts";
import { type FrameChecksum, Joiner } from "../../mod/sleeve/join.ts";
import { ReplayWindow } from "../../mod/sleeve/replay.ts";
import { Segmenter } from "../../mod/sleeve/segment.ts";
import { FRAME_HEADER, FrameReader, PacketWriter, type PeerNumber } from "../../mod/wire/mesh/sleeve.ts";
import { VIRTIO_HEADER } from "../../mod/wire/packet/virtio_net.ts";
import { SHAPE, superPacket } from "../unit/sleeve/super_packets.ts";

const SEGMENTS = 46;
const MSS = 1_372; // what fits a path of 1500 octets
const STRIDE = 1_600;
const [here, there] = [1, 2] as PeerNumber[] as [PeerNumber, PeerNumber];

/** A super-packet as read from the TAP; its segments as they come from the network, one packet each. */
const packet = superPacket({ ...SHAPE, size: MSS, payload: SEGMENTS * MSS });
const tap = new Uint8Array(70_000);
tap.set(packet);
const network = new Uint8Array(SEGMENTS * STRIDE);
const ends = new Int32Array(SEGMENTS);
const segmenter = new Segmenter(tap);
const writer = new PacketWriter();
const reader = new FrameReader();

/** What the sender does with a super-packet. */
function send(finish: boolean): void {
  const count = segmenter.start(0, packet.length, finish);
  for (let i = 0, left = packet.length - VIRTIO_HEADER - 66; i < count; i++, left -= MSS) {
    writer.start(network, i * STRIDE, { sender: here, sealed: false, limit: STRIDE });
    segmenter.next(network, writer.reserve(here, there, 66 + Math.min(MSS, left)));
    ends[i] = writer.to;
  }
}

const joiner = new Joiner(network, (_bytes, from, to) => {
  if (to - from !== packet.length) throw new Error("the super-packet did not come together");
});

/** What the receiver does with its packets. */
function receive(checksum: FrameChecksum): void {
  for (let i = 0; i < SEGMENTS; i++) {
    reader.start(network, i * STRIDE + 6, ends[i]!);
    while (reader.next()) joiner.push(reader.from, reader.to, checksum);
  }
  joiner.flush();
}

const size = `${Math.round(SEGMENTS * MSS / 1024)} KiB of TCP`;

Deno.bench(`cut ${size}, finish checksums`, { group: "cut" }, () => send(true));
Deno.bench(`cut ${size}, leave checksums partial`, { group: "cut", baseline: true }, () => send(false));

for (const checksum of ["unknown", "sealed", "partial"] as const) {
  Deno.bench(
    `join ${size}, checksums ${checksum}`,
    { group: "join", baseline: checksum === "sealed" },
    (bench) => {
      send(checksum !== "partial");
      bench.start();
      receive(checksum);
      bench.end();
    },
  );
}

const small = new Uint8Array(VIRTIO_HEADER + 106);
small.set(superPacket({ ...SHAPE, udp: true, payload: 64 }));
const datagrams = new Segmenter(small);
Deno.bench("one UDP frame of 64 bytes: cut, packed, read", { group: "small" }, () => {
  datagrams.start(0, small.length, true);
  writer.start(network, 0, { sender: here, sealed: false, limit: STRIDE });
  datagrams.next(network, writer.reserve(here, there, datagrams.longest));
  reader.start(network, 6, writer.to);
  if (!reader.next() || reader.to - reader.from !== writer.to - 6 - FRAME_HEADER) throw new Error("lost");
});

const window = new ReplayWindow();
const next = { seq: 0 };
Deno.bench("one number of the replay window", { group: "small" }, () => {
  if (!window.accept(next.seq++)) throw new Error("seen before");
});

const view = new DataView(tap.buffer);
const sink = { sum: 0 };
Deno.bench("checksum of 1448 bytes", { group: "small" }, () => {
  sink.sum += sumWords(view, 77, 77 + 1_448);
});
