/** `meshnet check HOST` towards an address of loopback that is not this host's own. */
import assert from "node:assert/strict";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import type { Ip } from "../../../mod/core/addr.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import { checkHost, type Overlay } from "../../../mod/daemon/doctor/check_host.ts";
import { knownHosts } from "../../../mod/daemon/doctor/known_hosts.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { ConnectionSnapshot } from "../../../mod/mesh/snapshot.ts";
import { SystemClock } from "../../../mod/sys/clock.ts";
import { freePort } from "../free_port.ts";

UdpSocket.open({ port: 0 })[Symbol.dispose](); // opens the libraries, once for the process

const ADDRESS = "127.0.0.2" as Ip;
const LINK = 7 as LinkId;
const PEER = "02:00:00:00:50:02" as PeerName;

/** What the check says, line by line, and how often it asked the data plane. */
async function check(word: string, connection: Partial<ConnectionSnapshot>) {
  const port = freePort(ADDRESS);
  using _meshPort = UdpSocket.open({ port }); // so that no refusal says more than the link
  const overlay: Overlay = {
    datapath: {
      ...{ kind: "ovs", name: "meshnet", mtu: 1_234, stopped: [], flows: 0, adopted: 0 },
      ...{ ports: [], tunnels: true, noFastdp: undefined },
    },
    links: [{
      ...{ link: LINK, peer: PEER, remote: ADDRESS, peerMtu: undefined, silentMs: 16_400 },
      status: "established",
      overlays: [{ overlay: "sleeve", works: true }, {
        overlay: "fastdp",
        works: false,
        why: "no answer to heartbeats",
      }],
    } as never],
  };
  let asked = 0;
  const report = await checkHost(word, {
    config: { host: undefined, password: undefined, port } as never,
    clock: new SystemClock(),
    daemon: knownHosts({
      dataplane: { report: () => (asked++, Promise.resolve(overlay as never)) },
      firewall: () => ({ problems: [] }) as never,
      history: { list: () => [] } as never,
      paths: { self: "02:00:00:00:50:01", nickname: "host1", knows: () => false, peers: () => [] } as never,
      router: {
        snapshot: () => ({
          targets: [],
          connections: [{
            ...{ peer: PEER, nickname: "host2", address: `${ADDRESS}:${port}`, outbound: true, info: "" },
            ...{ state: "established", overlay: undefined, mtu: 1_410, encrypted: false },
            ...{ rttMs: undefined, link: LINK, retryInMs: undefined },
            ...connection,
          }],
        }),
      } as never,
    }),
  });
  const said = Object.fromEntries(
    report.lines.map(({ state, text, what }) => [what.replace(`${port + 1}`, "P1").replace(`${port}`, "P"), {
      state,
      text,
    }]),
  );
  return { asked, report, said };
}

Deno.test("checkHost() asks the data plane once, for its links, its MTU and its ports", async () => {
  const { asked, report, said } = await check("host2", {});
  assert.equal(asked, 1);
  assert.deepEqual({ ...report, lines: [] }, {
    ...{ host: "host2", address: ADDRESS, peer: "host2", good: false, lines: [] },
  });
  assert.match(said["TCP P"]!.text, /the daemon is connected to it/);
  assert.match(said["UDP P"]!.text, /nothing has come from there for 16 s/); // of the link
  assert.match(said["MTU"]!.text, /1234/);
});

Deno.test("checkHost() does not call another port of a host good because the host is connected", async () => {
  for (const outbound of [true, false]) {
    const other = freePort(ADDRESS);
    const { report } = await check(`${ADDRESS}:${other}`, { outbound });
    const tcp = report.lines.find(({ what }) => what === `TCP ${other}`);
    assert.deepEqual([tcp?.state, tcp?.text, report.good], ["bad", "nothing listens there", false]);
    assert.deepEqual([tcp?.fix?.on, tcp?.fix?.command], [ADDRESS, `meshnet up --port ${other}`]);
  }
});

Deno.test("checkHost() asks it once, too, where there is no connection yet", async () => {
  for (const word of ["host2", ADDRESS]) {
    const { asked, said } = await check(word, { link: undefined, state: "failed" });
    assert.equal(asked, 1, word);
    assert.deepEqual(said["TCP P"], { state: "bad", text: "nothing listens there" });
    assert.doesNotMatch(said["UDP P"]!.text, /nothing has come/);
    assert.match(said["UDP P1"]!.text, /cannot open VXLAN port/);
  }
});
