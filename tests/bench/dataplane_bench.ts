/** Cost of a miss in the data plane's core: `deno bench tests/bench/dataplane_bench.ts`. */
import type { Mac } from "../../mod/core/addr.ts";
import type { ConnUid, PeerName } from "../../mod/core/names.ts";
import type { LinkId } from "../../mod/core/overlay_port.ts";
import type { Millis } from "../../mod/core/time.ts";
import { Dataplane } from "../../mod/overlay/dataplane.ts";
import type { Miss, PortNo } from "../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../mod/wire/packet/vxlan.ts";
import { OVS_HOST } from "../unit/overlay/ovs_host.ts";
import { frameOf, hostIp, vport } from "../unit/overlay/kernel.ts";

const NOW = 0 as Millis;
const names = ["02:00:00:00:00:01", "02:00:00:00:00:02"] as PeerName[];

function linked(): Dataplane {
  const core = new Dataplane({ ...OVS_HOST, limits: { macsPerPort: 1e9, flowsPerSource: 1e9 } });
  const ports = [vport(0, "internal", "m"), vport(1, "netdev", "c"), vport(9, "vxlan", "vxlan-6784", 6784)];
  core.step({ kind: "started", ports, flows: [] }, NOW);
  const view = { names, self: 0, shortIds: Int16Array.of(1, 2), edges: Uint32Array.of(0, 1, 1, 0) };
  core.step({ kind: "request", request: { kind: "topology", view } }, NOW);
  const link = 1 as LinkId;
  core.step({
    kind: "request",
    request: {
      kind: "prepare",
      link,
      peer: names[1]!,
      local: hostIp(1),
      remote: { ip: hostIp(2), port: 4 },
      outbound: false,
      connUid: 1n as ConnUid,
      protection: { kind: "clear" },
      theirOverlays: ["fastdp"],
      extensions: [],
    },
  }, NOW);
  core.step({ kind: "request", request: { kind: "confirm", link } }, NOW);
  core.step({ kind: "request", request: { kind: "control", link, message: Uint8Array.of(7, 0, 0) } }, NOW);
  return core;
}

const MISSES = 20_000;
const frame = frameOf(0, 0);
/** Tunnel frames from ever new MACs to ever new local MACs, and back: each learns, decides and installs. */
const misses: Miss[] = Array.from({ length: MISSES }, (_, n) => {
  const [far, near] = [0x0a00_0000_0000 + n * 2, 0x0c00_0000_0000 + n * 2] as Mac[] as [Mac, Mac];
  const tunnel = { id: 0x1002 as Vni, src: hostIp(2), dst: hostIp(1) };
  return n % 2 === 0
    ? { key: { inPort: 1 as PortNo, ethSrc: near, ethDst: far - 4 as Mac }, frame }
    : { key: { inPort: 9 as PortNo, tunnel, ethSrc: far, ethDst: near - 2 as Mac }, frame };
});

Deno.bench(`${MISSES} misses with learning and installation`, { n: 10, warmup: 5 }, (bench) => {
  const core = linked();
  bench.start();
  for (const miss of misses) core.step({ kind: "miss", miss }, NOW);
  bench.end();
});

Deno.bench(`${MISSES} misses of known flows`, { n: 10, warmup: 2 }, (bench) => {
  const core = linked();
  for (const miss of misses.slice(0, 2_000)) core.step({ kind: "miss", miss }, NOW);
  bench.start();
  for (let i = 0; i < MISSES; i++) core.step({ kind: "miss", miss: misses[i % 2_000]! }, NOW);
  bench.end();
});
