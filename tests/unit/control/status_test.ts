import assert from "node:assert/strict";
import type { AttachmentReport } from "../../../mod/control/api_types.ts";
import { assembleStatus, type StatusSources } from "../../../mod/control/status.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { ConnectionSnapshot, MeshSnapshot, TargetSnapshot } from "../../../mod/mesh/snapshot.ts";
import type { DataplaneStatus } from "../../../mod/overlay/ports/dataplane_messages.ts";

const SELF = "8a:3e:11:02:9c:01" as PeerName;

const connection: ConnectionSnapshot = {
  peer: undefined,
  nickname: undefined,
  address: "192.0.2.7:6783",
  outbound: true,
  state: "failed",
  info: "nothing listens",
  overlay: undefined,
  mtu: undefined,
  encrypted: false,
  rttMs: undefined,
  link: undefined,
  retryInMs: 2000,
};
const target: TargetSnapshot = {
  target: "host3",
  state: "failed",
  info: "nothing listens",
  address: "192.0.2.7:6783",
  peer: undefined,
  retryInMs: 2000,
};

const ATTACHMENT: AttachmentReport = {
  target: "netns:web",
  name: null,
  interface: "ethmesh",
  hostInterface: "vmn1",
  mac: null,
  addresses: ["10.2.1.1/24"],
  names: [],
  attached: true,
  problem: null,
};

function sources(
  change: { mesh?: Partial<MeshSnapshot>; rest?: Partial<StatusSources> } = {},
): StatusSources {
  const mesh = {
    name: SELF,
    nickname: "host1",
    uid: "18446744073709551615",
    shortId: 5,
    port: 6783,
    protocol: { min: 1, max: 2 },
    encryption: true,
    peerDiscovery: true,
    connLimit: 200,
    trustedSubnets: ["10.0.0.0/8"],
    targets: [target],
    connections: [connection],
    peers: [
      { name: SELF, nickname: "host1", uid: "1", shortId: undefined, version: "7", connections: [] },
    ],
    terminations: 0,
    refused: [],
    ...change.mesh,
  } as MeshSnapshot;
  const dataplane = {
    datapath: {
      ...{ kind: "ovs", mtu: 1410, flows: 9, tunnels: true },
      ports: [{ kind: "internal" }, { kind: "vxlan", udpPort: 6784 }],
      stopped: [],
    },
    traffic: [],
    links: [{ link: 7, rttAgeMs: 20_400.4, silentMs: 20_400.4 }],
    kernel: { lost: 2, sleeve: { dropped: { "receive-buffer-full": 3, "tap-queue-full": 4 } } },
  } as unknown as DataplaneStatus;
  const rest = {
    originOf: () => "--peers",
    lost: [],
    unknownInterfaces: [],
    ipam: undefined,
    names: undefined,
    engine: null,
    notAttached: [],
    firewall: { mode: "auto" as const, rules: [], undone: 0, undoneAgoMs: null, problems: [] },
    stateWasLost: undefined,
    formerName: undefined,
  };
  return {
    mesh,
    dataplane,
    attachments: [],
    exposed: [],
    exposedProblem: undefined,
    ...rest,
    version: "1.2.3",
    pid: 9,
    uptimeMs: 1234.5,
    ...change.rest,
  };
}

Deno.test("assembleStatus() has every key of the contract, with null for what is absent", () => {
  const status = assembleStatus(sources());
  for (
    const key of ["name", "nickname", "version", "uid", "protocol", "encryption", "peerDiscovery", "targets"]
  ) {
    assert.ok(key in status, key);
  }
  assert.equal(status.uid, "18446744073709551615");
  assert.deepEqual(status.targets, ["host3"]);
  assert.deepEqual(status.connections[0], {
    peer: null,
    nickname: null,
    address: "192.0.2.7:6783",
    outbound: true,
    wanted: true,
    state: "failed",
    info: "nothing listens",
    overlay: null,
    mtu: null,
    encrypted: false,
    rttMs: null,
    peerMtu: null,
    rttAgeMs: null,
    silentMs: null,
    traffic: null,
    retryInMs: 2000,
  });
  assert.deepEqual(status.peers[0], {
    name: SELF,
    nickname: "host1",
    uid: "1",
    shortId: null,
    version: 7,
    connections: [],
    traffic: null,
  });
  assert.deepEqual(status.datapath, {
    kind: "ovs",
    noFastdp: null,
    mtu: 1410,
    ports: 2,
    flows: 9,
    tooLarge: 0,
    overruns: 9,
  });
  assert.equal(JSON.stringify(status).includes("undefined"), false);
});

Deno.test("assembleStatus() counts what hangs on a bridge, and says why there is no fastdp", () => {
  const told = sources();
  const { datapath } = told.dataplane;
  const noFastdp = "this host's kernel has no Open vSwitch";
  const attachment = { target: "netns:a", attached: true, addresses: [], problem: null };
  const attachments = [attachment, { ...attachment, attached: false }] as unknown as AttachmentReport[];
  const dataplane = { ...told.dataplane, datapath: { ...datapath, kind: "bridge", noFastdp } as const };
  const status = assembleStatus({ ...told, dataplane, attachments });
  assert.deepEqual(status.datapath, {
    kind: "bridge",
    noFastdp,
    mtu: 1410,
    ports: 3,
    flows: 9,
    tooLarge: 0,
    overruns: 9,
  });
});

Deno.test("assembleStatus() makes a problem of each target that cannot be reached, and of nothing discovered", () => {
  const discovered = { ...connection, address: "192.0.2.99:6783" };
  const good = { ...connection, state: "established", info: "", retryInMs: undefined } as const;
  const never = { ...connection, retryInMs: null };
  const problems = (connections: readonly ConnectionSnapshot[]) =>
    assembleStatus(sources({ mesh: { connections } })).problems;
  assert.deepEqual(problems([good, discovered]), []);
  assert.deepEqual(problems([connection]), [
    { message: "No connection to host3: nothing listens", hint: null },
  ]);
  assert.match(problems([never])[0]?.hint ?? "", /meshnet connect host3/);
});

Deno.test("assembleStatus() makes a problem of a tunnel port that is not there", () => {
  const told = sources({ mesh: { connections: [] } });
  assert.deepEqual(assembleStatus(told).problems, []);
  const { problems } = assembleStatus({ ...told, mesh: { ...told.mesh, port: 7000 } });
  assert.match(problems[0]?.message ?? "", /^No tunnel port: UDP port 7001 cannot be used/);
  const { datapath } = told.dataplane;
  const dataplane = { ...told.dataplane, datapath: { ...datapath, tunnels: false } };
  const without = assembleStatus({ ...told, dataplane, mesh: { ...told.mesh, port: 7000 } });
  assert.deepEqual(without.problems, []);
});

Deno.test("assembleStatus() makes a problem of each attachment that does not work", () => {
  const attachment = { ...ATTACHMENT, attached: false, problem: "the namespace is gone" };
  const { problems } = assembleStatus(
    sources({ mesh: { connections: [] }, rest: { attachments: [attachment] } }),
  );
  assert.equal(problems.length, 1);
  assert.equal(problems[0]?.message, "netns:web is not attached: the namespace is gone");
  assert.match(problems[0]?.hint ?? "", /by itself.*meshnet detach netns:web/);
});

Deno.test("assembleStatus() makes a problem of each port that is stopped, on either datapath", () => {
  const given = sources({ mesh: { targets: [], connections: [] } });
  const { datapath, kernel } = given.dataplane;
  const web = { ...ATTACHMENT, hostInterface: "vmn5" };
  for (
    const dataplane of [
      { ...given.dataplane, datapath: { ...datapath, stopped: ["vmn5"] } },
      { ...given.dataplane, kernel: { ...kernel, stopped: ["vmn5"] } },
    ]
  ) {
    const { problems } = assembleStatus({ ...given, dataplane, attachments: [web] });
    assert.deepEqual(problems.map(({ message }) => message), [
      "netns:web is stopped: it is part of a loop, what is sent to it comes back another way",
    ]);
  }
});

Deno.test("assembleStatus() makes a problem of state that was lost, and of what only the kernel remembers", () => {
  const names = ["vmn1", "vmn2", "vmn3", "vmn4", "vmn5", "vmn6"];
  const rest = { stateWasLost: "/var/lib/meshnet", unknownInterfaces: names };
  const { problems } = assembleStatus(sources({ mesh: { targets: [], connections: [] }, rest }));
  assert.deepEqual(problems.map(({ message }) => message), [
    "The state folder /var/lib/meshnet was new at this start, but this host had a network of an earlier run: what that " +
    "run remembered is not known",
    "No record knows vmn1, vmn2, vmn3, vmn4 and 2 more: attachments of an earlier run, which nobody looks after",
  ]);
  assert.match(problems[1]!.hint!, /ip link del vmn1/);
});

Deno.test("assembleStatus() says in one line which hosts give their containers another MTU, and what to do", () => {
  const works = { ...connection, state: "established", peer: SELF, info: "" } as const;
  const problems = (...peers: readonly (readonly [string, number | undefined])[]) => {
    const connections = peers.map(([nickname], i) => ({ ...works, nickname, link: i as LinkId }));
    const made = sources({ mesh: { connections, targets: [] } });
    const links = peers.map(([, peerMtu], link) => ({ link, peerMtu }));
    const status = assembleStatus({
      ...made,
      dataplane: { ...made.dataplane, links } as unknown as DataplaneStatus,
    });
    assert.deepEqual(status.connections.map((one) => one.peerMtu), peers.map(([, mtu]) => mtu ?? null));
    return status.problems;
  };
  assert.deepEqual(problems(["h2", 1410], ["h3", undefined]), []);
  assert.deepEqual(problems(["h2", 1376], ["h3", 1410], ["h4", 8950]), [{
    message:
      "Containers have MTU 1410 on this host, 1376 on h2, 8950 on h4: large packets between them may be lost",
    hint: "All hosts need one MTU: start this host with --mtu 1376 (with Weave Net: WEAVE_MTU=1376)",
  }]);
  assert.match(problems(["h2", 8950])[0]!.hint!, /start the others with --mtu 1410/);
  const many = problems(...[1, 2, 3, 4, 5, 6].map((n) => [`h${n}`, 1_400 + n] as const));
  assert.match(many[0]!.message, /1404 on h4 and other values on 2 more:/);
});

Deno.test("assembleStatus() tells one cause once: a connection that addresses ended, and what this host does for that", () => {
  const refused = "IP allocation was seeded by different peers";
  const mesh = {
    connections: [{ ...connection, state: "retrying", info: `ended: ${refused}` }],
  } as unknown as Partial<MeshSnapshot>;
  const status = {
    ...{ range: { ip: "10.32.0.0", prefix: 12 }, rangeSize: 1, active: 0, owners: [], entries: [], held: [] },
    ...{
      nicknames: [],
      pendingAllocates: [],
      pendingClaims: [],
      takeovers: [],
      aside: [],
      election: undefined,
    },
    ...{ state: "ready", trouble: undefined },
  };
  const ipam = { status, subnet: "10.32.0.0/12", inUse: [], refused };
  const problemsOf = (one: unknown, change = mesh) =>
    assembleStatus(sources({ mesh: change, rest: { ipam: one } as never })).problems.map(({ message }) =>
      message
    );
  assert.deepEqual(problemsOf(ipam), [`No connection to host3: ended: ${refused}`]);
  assert.deepEqual(
    problemsOf(ipam, { connections: [] }),
    [refused],
    "the other host dials, and was turned away",
  );
  const named = {
    ...ipam,
    refused: `${refused} (received: [h9 (02:00:00:00:00:09)], ours: [h1 (02:00:00:00:00:01)])`,
  };
  const connected = (state: string) =>
    ({ connections: [{ ...connection, peer: "02:00:00:00:00:09", state, info: "" }] }) as unknown as Partial<
      MeshSnapshot
    >;
  assert.deepEqual(problemsOf(named, connected("pending")), [named.refused]);
  assert.deepEqual(problemsOf(named, connected("established")), [], "it is mended: no such connection holds");
  const trouble = { code: "removed", message: "Cannot hand out addresses", hint: "Run something" };
  assert.deepEqual(problemsOf({ ...ipam, status: { ...status, state: "blocked", trouble } }), [
    trouble.message,
  ]);
});
