import assert from "node:assert/strict";
import { type Ip, parseMac } from "../../../../mod/core/addr.ts";
import { toHex } from "../../../../mod/core/bytes.ts";
import { NLM_F } from "../../../../mod/wire/netlink/netlink.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import * as flows from "../../../../mod/wire/netlink/ovs_flow.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import {
  type FlowAction,
  type FlowKey,
  FOREIGN_SLEEVE,
  type PortNo,
  type TagOf,
  type Ufid,
} from "../../../../mod/wire/netlink/ovs_keys.ts";
import { ipv4FromNumber, ipv4ToNumber } from "../../../../mod/wire/netlink/ovs_key_codec.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";
import { fuzz } from "../../fuzz.ts";
import { attributesOf } from "../../kernel_messages.ts";
import { assertSends, EXCHANGES, FAMILIES as F, messagesOf, MISSES } from "./ovs_vectors.ts";

const DP = 5;
const ECHO = NLM_F.request | NLM_F.echo;
const HERE = "10.99.0.1" as Ip;
const THERE = "10.99.0.2" as Ip;
const port = (n: number) => n as PortNo;
const mac = (text: string) => parseMac(text)!;
const ufid = (n: number) => n as Ufid;
const output = (n: number): FlowAction => ({ kind: "output", port: port(n) });
const tunnel = (id: number): FlowAction => ({
  kind: "tunnel",
  port: port(2),
  tunnel: { id: id as Vni, src: HERE, dst: THERE },
  df: true,
});
const fromThere = (id: number) => ({ id: id as Vni, src: THERE, dst: HERE });

/** Flows of the vectors whose attributes come in the order that we use too. */
const SEEN: readonly { step: string; key: FlowKey; actions: readonly FlowAction[] }[] = [
  {
    step: "flow new: local to remote, eth + in_port -> set tunnel, output vxlan",
    key: { inPort: port(1), ethSrc: mac("c6:01:02:03:04:05"), ethDst: mac("ee:0a:0b:0c:0d:0f") },
    actions: [tunnel(0x123abc)],
  },
  {
    step: "flow new: remote to local, tunnel + eth + in_port -> output netdev",
    key: {
      inPort: port(2),
      tunnel: fromThere(0xabc123),
      ethSrc: mac("c6:01:02:03:04:10"),
      ethDst: mac("ee:0a:0b:0c:0d:11"),
    },
    actions: [output(1)],
  },
  {
    step: "flow new: drop, eth + in_port -> no actions",
    key: { inPort: port(1), ethSrc: mac("c6:01:02:03:04:05"), ethDst: mac("ee:0a:0b:0c:0d:12") },
    actions: [],
  },
];

function install(flow: flows.FlowInstall): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter();
  flows.writeFlowNew(writer, F, DP, flow, { flags: ECHO });
  return writer.finish();
}

function attributes(message: Uint8Array): Record<number, string> {
  return Object.fromEntries([...attributesOf(message, 24)].map(([type, value]) => [type, toHex(value)]));
}

for (const { step, key, actions } of SEEN) {
  Deno.test(`writeFlowNew() sends key, mask and actions as seen: ${step}`, () => {
    const { 9: id, ...ours } = attributes(install({ ufid: ufid(0x1_0000_0002), key, actions }));
    assert.deepEqual(ours, attributes(messagesOf(step, "TX")[0]!));
    assert.equal(id, "6d6573686e6574010000000100000002");
  });

  Deno.test(`decodeFlow() reads what the kernel makes of it: ${step}`, () => {
    for (const dir of ["TX", "RX"] as const) {
      const flow = flows.decodeFlow(messagesOf(step, dir)[0]!);
      assert.ok(flow.ok);
      assert.deepEqual([flow.value.key, flow.value.actions], [key, actions], dir);
      assert.deepEqual([flow.value.ufid, flow.value.packets, flow.value.usedAt], [undefined, 0, undefined]);
    }
  });
}

Deno.test("decodeFlow() reads the other captured flows", () => {
  const read = (step: string) => {
    const flow = flows.decodeFlow(messagesOf(step, "RX")[0]!);
    assert.ok(flow.ok);
    return [flow.value.key, flow.value.actions];
  };
  assert.deepEqual(read("flow new: local bridge in_port=netdev, eth -> output internal"), [
    { inPort: 1, ethSrc: mac("c6:01:02:03:04:05"), ethDst: mac("ee:0a:0b:0c:0d:0e") },
    [output(0)],
  ]);
  assert.deepEqual(read("flow new: relay, tunnel + in_port only -> set tunnel, output vxlan"), [
    { inPort: 2, tunnel: fromThere(0x777001), ethSrc: 0, ethDst: 0 },
    [tunnel(0x777001)],
  ]);
});

Deno.test("writeFlowNew() and decodeFlow() agree on every kind of key", () => {
  const keys: readonly FlowKey[] = [
    { inPort: port(0) },
    { inPort: port(65534), ethDst: mac("ff:ff:ff:ff:ff:ff") },
    { inPort: port(2), tunnel: fromThere(0xffffff) },
    { inPort: port(2), tunnel: fromThere(1), ethSrc: mac("02:00:00:00:00:01") },
    { inPort: port(2), tunnel: fromThere(1), ethSrc: mac("02:00:00:00:00:01"), tagged: true },
  ];
  keys.forEach((key, i) => {
    const actions = [output(3), tunnel(7), output(4)];
    const flow = flows.decodeFlow(install({ ufid: ufid(i + 1), key, actions }));
    assert.ok(flow.ok);
    assert.deepEqual([flow.value.ufid, flow.value.key, flow.value.actions], [i + 1, key, actions]);
  });
});

const HERE6 = "fd50::1" as Ip;
const THERE6 = "2001:db8::2" as Ip;
const HEX6 = { here: "fd50" + "0".repeat(27) + "1", there: "20010db8" + "0".repeat(23) + "2" };

Deno.test("writeFlowNew() matches and sets tunnels over IPv6 as the kernel has them (linux/openvswitch.h)", () => {
  const key: FlowKey = { inPort: port(2), tunnel: { id: 0xabc123 as Vni, src: THERE6, dst: HERE6 } };
  const set: FlowAction = {
    kind: "tunnel",
    port: port(2),
    tunnel: { id: 7 as Vni, src: HERE6, dst: THERE6 },
  };
  const sent = attributes(install({ ufid: ufid(1), key, actions: [set, output(4)] }));
  // OVS_TUNNEL_KEY_ATTR_IPV6_SRC is 12, _DST 13; each of 16 octets.
  const ends = (src: string, dst: string) => `14000c00${src}14000d00${dst}`;
  assert.ok(
    sent[1]!.includes(`0c000000${"abc123".padStart(16, "0")}${ends(HEX6.there, HEX6.here)}`),
    sent[1],
  );
  assert.ok(sent[7]!.includes(`0c000000${"f".repeat(16)}${ends("f".repeat(32), "f".repeat(32))}`), sent[7]);
  assert.ok(sent[2]!.includes(`0c000000${"7".padStart(16, "0")}${ends(HEX6.here, HEX6.there)}`), sent[2]);
  assert.ok(!sent[1]!.includes("08000100") && !sent[2]!.includes("08000200"), "no IPv4 address");
});

Deno.test("writeFlowNew() and decodeFlow() agree on tunnels of both families", () => {
  const tunnels = [[HERE6, THERE6], ["::" as Ip, THERE6], [HERE, THERE], ["0.0.0.0" as Ip, THERE]] as const;
  tunnels.forEach(([src, dst], i) => {
    const key: FlowKey = {
      inPort: port(2),
      tunnel: { id: 9 as Vni, src: dst, dst: src },
      ethDst: mac("02:00:00:00:00:01"),
    };
    const actions: readonly FlowAction[] = [
      { kind: "tunnel", port: port(2), tunnel: { id: 7 as Vni, src, dst } },
      tunnel(8),
    ];
    const flow = flows.decodeFlow(install({ ufid: ufid(i + 1), key, actions }));
    assert.ok(flow.ok);
    assert.deepEqual([flow.value.key, flow.value.actions], [key, actions]);
  });
});

Deno.test("decodeFlow() has no key for a flow of half an IPv6 address", () => {
  const key: FlowKey = { inPort: port(2), tunnel: { id: 9 as Vni, src: THERE6, dst: HERE6 } };
  const message = install({ ufid: ufid(1), key, actions: [] });
  const masks = toHex(message).lastIndexOf("14000d00" + "f".repeat(32)) / 2 + 4;
  message[masks + 15] = 0;
  const flow = flows.decodeFlow(message);
  assert.ok(flow.ok);
  assert.equal(flow.value.key, undefined);
});

const sleeve = (id: number) => ({ link: 7 as LinkId, id: id as Vni });
const tagOf: TagOf = ({ id }) => id;
const toSleeve = (id: number): FlowAction => ({ kind: "sleeve", port: port(9), sleeve: sleeve(id) });

function installTagged(key: FlowKey, actions: readonly FlowAction[]): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter();
  flows.writeFlowNew(writer, F, DP, { ufid: ufid(1), key, actions }, { tagOf });
  return writer.finish();
}

Deno.test("writeFlowNew() puts tags on frames for user space, and takes them off for what follows", () => {
  // Each as the kernel takes it (linux/openvswitch.h): 0401 push_vlan 8100 and TCI with the bit "present", 0005 pop_vlan.
  const cases: readonly (readonly [key: FlowKey, actions: readonly FlowAction[], hex: string])[] = [
    [{ inPort: port(1) }, [toSleeve(0x2001)], "08000400810030010800010009000000"],
    [
      { inPort: port(1) },
      [toSleeve(1), toSleeve(2), output(3)],
      "08000400810010010800010009000000" + "04000500" + "08000400810010020800010009000000" +
      "04000500" + "0800010003000000",
    ],
    [{ inPort: port(9), sleeve: sleeve(5) }, [output(3)], "04000500" + "0800010003000000"],
    [{ inPort: port(9), sleeve: sleeve(5) }, [], ""],
    [{ inPort: port(1) }, [toSleeve(0), output(3)], "0800010003000000"], // there is no tag for it
  ];
  for (const [key, actions, hex] of cases) {
    assert.equal(attributes(installTagged(key, actions))[2], hex);
  }
});

Deno.test("writeFlowNew() matches user space's tag exactly, and a tag of the frame's own behind it", () => {
  const key = { inPort: port(9), sleeve: sleeve(0xe123) };
  const macs = "10000400" + "00".repeat(12);
  const plain = attributes(installTagged(key, []));
  const own = attributes(installTagged({ ...key, tagged: true }, []));
  const inPort = "0800030009000000";
  assert.equal(
    plain[1],
    "10000400" + "00".repeat(12) + inPort + "0600060081000000" + "06000500f1230000" + "04000100",
  );
  assert.equal(
    plain[7],
    macs + "08000300ffffffff" + "06000600ffff0000" + "06000500ffff0000" + "0c000100" + "0600060000000000",
  );
  assert.equal(
    own[1],
    macs + inPort + "0600060081000000" + "06000500f1230000" + "18000100" + "0600060081000000" +
      "0600050010000000" + "04000100",
  );
  assert.equal(
    own[7],
    macs + "08000300ffffffff" + "06000600ffff0000" + "06000500ffff0000" + "20000100" + "06000600ffff0000" +
      "0600050010000000" + "0c000100" + "0600060000000000",
  );
});

Deno.test("decodeFlow() tells flows of user space's port, but not what their tags stand for", () => {
  const read = (key: FlowKey, actions: readonly FlowAction[]) => {
    const flow = flows.decodeFlow(installTagged(key, actions));
    assert.ok(flow.ok);
    return [flow.value.key, flow.value.actions];
  };
  const foreign = { kind: "sleeve", port: 9, sleeve: FOREIGN_SLEEVE };
  assert.deepEqual(read({ inPort: port(1) }, [output(2), toSleeve(1), tunnel(7)]), [
    { inPort: 1 },
    [output(2), foreign, tunnel(7)],
  ]);
  const from = { inPort: port(9), sleeve: sleeve(5) };
  assert.deepEqual(read(from, [toSleeve(1)]), [{ inPort: 9, sleeve: FOREIGN_SLEEVE }, undefined]);
  assert.deepEqual(read({ ...from, tagged: true }, []), [
    { inPort: 9, sleeve: FOREIGN_SLEEVE, tagged: true },
    [],
  ]);
});

Deno.test("decodeFlow() has no key for a flow that matches on something else", () => {
  const message = install({ ufid: ufid(1), key: { inPort: port(1) }, actions: [] });
  const at = toHex(message).indexOf("08000300ffffffff") / 2; // the mask of the port
  message[at + 2] = 15; // now the mask of the mark
  const flow = flows.decodeFlow(message);
  assert.ok(flow.ok);
  assert.equal(flow.value.key, undefined);
});

Deno.test("decodeFlow() has no actions for a flow that does something else", () => {
  const message = install({ ufid: ufid(1), key: { inPort: port(1) }, actions: [output(9)] });
  message[toHex(message).indexOf("0800010009000000") / 2 + 2] = 2; // to user space
  const flow = flows.decodeFlow(message);
  assert.ok(flow.ok);
  assert.equal(flow.value.actions, undefined);
});

Deno.test("decodeFlow() takes the ids of others for foreign, and writeFlowDelete() names them", () => {
  const made = flows.decodeFlow(
    messagesOf("flow new with UFID (hand-made, not used by Weave Net)", "RX")[0]!,
  );
  assert.ok(made.ok);
  assert.equal(made.value.ufid, undefined);
  const writer = new NetlinkWriter();
  flows.writeFlowDelete(writer, F, DP, { handle: made.value.handle }, ECHO);
  assertSends(writer.finish(), "flow del by UFID (hand-made)");
});

Deno.test("writeFlowDelete() by ufid and by key", () => {
  const writer = new NetlinkWriter();
  flows.writeFlowDelete(writer, F, DP, { ufid: ufid(0xffff_ffff_ffff) });
  assert.equal(toHex(writer.finish()).slice(48), "140009006d6573686e6574010000ffffffffffff");
  const foreign = flows.decodeFlow(messagesOf("flow del", "TX")[0]!);
  assert.ok(foreign.ok);
  flows.writeFlowDelete(writer.reset(), F, DP, { handle: foreign.value.handle }, ECHO);
  assert.deepEqual(attributes(writer.finish())[1], attributes(messagesOf("flow del", "TX")[0]!)[1]);
});

Deno.test("decodeFlow() reads a terse dump, with keys only where flows have no id", () => {
  const step = "flow dump terse with UFID_FLAGS omit key+mask+actions (hand-made)";
  const dumped = messagesOf(step, "RX").filter((m) => m[4] === F.flow).map(flows.decodeFlow);
  assert.ok(dumped.length > 2 && dumped.every((flow) => flow.ok && flow.value.key === undefined));
  assertSends(flows.encodeFlowDump(F, DP, true), step);
});

Deno.test("a flow dump is what was seen", () => {
  assertSends(flows.encodeFlowDump(F, DP, false), "flow dump");
});

Deno.test("writeExecute() is what was seen", () => {
  const heartbeat = new Uint8Array(1390);
  heartbeat.set(Uint8Array.fromHex("00000000000000000000000000001122334455667788056e"));
  const arp = Uint8Array.fromHex(
    "ffffffffffffc6010203040508060001080006040001c601020304050a2000010000000000000a200002",
  );
  for (
    const [frame, step] of [
      [heartbeat, "packet execute: heartbeat via set tunnel + output vxlan"],
      [arp, "packet execute: small frame"],
    ] as const
  ) {
    const writer = new NetlinkWriter(16);
    flows.writeExecute(writer, F, DP, { frame, actions: [tunnel(0x123abc)] }, { flags: ECHO });
    assertSends(writer.finish(), step);
  }
});

Deno.test("decodeUpcall() reads the captured misses", () => {
  const [heartbeat, arp] = MISSES.map((bytes) => flows.decodeUpcall(F, bytes));
  assert.ok(heartbeat?.ok && heartbeat.value.kind === "miss" && arp?.ok && arp.value.kind === "miss");
  const key = { inPort: 2, tunnel: { id: 0x123abc, src: HERE, dst: THERE }, tagged: undefined };
  assert.deepEqual(heartbeat.value.miss.key, { ...key, ethSrc: 0, ethDst: 0 });
  assert.equal(heartbeat.value.miss.frame.length, 1390);
  const macs = { ethSrc: mac("c6:01:02:03:04:05"), ethDst: mac("ff:ff:ff:ff:ff:ff") };
  assert.deepEqual(arp.value.miss.key, { ...key, ...macs });
  assert.equal(arp.value.miss.frame.length, 42);
  assert.equal(arp.value.datapath, DP);
});

Deno.test("decodeUpcall() reads the tag of a miss", () => {
  // Origin: Linux 6.1, an ARP request with VLAN id 5 at a netdev port.
  const message = Uint8Array.fromHex(
    "ee0000001d0000000000000000000000010100000400000098000200080014000000000008001300000000000800020000000000" +
      "080003000100000008000f000000000008001600000000000800180000000000140019000000000000000000000000000000000010" +
      "000400c2fbb132fab5ffffffffffff060006008100000006000500100500002800010006000600080600001c000d000a0300010a03" +
      "00090001c2fbb132fab500000000000000000c000b007f3520d00100000032000100ffffffffffffc2fbb132fab581000005080600" +
      "01080006040001c2fbb132fab50a0300010000000000000a030009",
  );
  const upcall = flows.decodeUpcall(F, message);
  assert.ok(upcall.ok && upcall.value.kind === "miss");
  assert.equal(upcall.value.miss.key.tagged, true);
  assert.deepEqual([upcall.value.tag, upcall.value.taggedTwice], [5, false]);
});

Deno.test("decodeUpcall() names the flow that could not be installed", () => {
  const request = install({ ufid: ufid(77), key: { inPort: port(1) }, actions: [] });
  const writer = new NetlinkWriter().begin(2, 0).u32(-22).raw(request).end();
  assert.deepEqual(flows.decodeUpcall(F, writer.finish()), {
    ok: true,
    value: { kind: "error", request: "install", errno: 22, text: undefined, ufid: 77 },
  });
  const gone = messagesOf("flow del again (ENOENT)", "RX")[0]!;
  assert.deepEqual(flows.decodeUpcall(F, gone), {
    ok: true,
    value: { kind: "error", request: "delete", errno: 2, text: undefined, ufid: undefined },
  });
  const refused = messagesOf("vport new duplicate vxlan port (EEXIST)", "RX")[0]!;
  assert.deepEqual(flows.decodeUpcall(F, refused), {
    ok: true,
    value: { kind: "error", request: "other", errno: 17, text: undefined, ufid: undefined },
  });
});

Deno.test("decodeUpcall() ignores acknowledgements and other messages", () => {
  const ack = messagesOf("flow flush: DEL without key, NLM_F_ACK (hand-made)", "RX")[0]!;
  assert.deepEqual(flows.decodeUpcall(F, ack), { ok: true, value: { kind: "ignored" } });
  assert.deepEqual(flows.decodeUpcall(F, messagesOf("vport del", "RX")[0]!), {
    ok: true,
    value: { kind: "ignored" },
  });
});

Deno.test("ipv4ToNumber() and ipv4FromNumber() are inverse", () => {
  for (const text of ["0.0.0.0", "10.99.0.1", "127.0.0.1", "255.255.255.255", "192.0.2.130"]) {
    assert.equal(ipv4FromNumber(ipv4ToNumber(text as Ip)), text);
  }
  assert.equal(ipv4ToNumber("192.0.2.130" as Ip), 0xc0000282);
});

Deno.test("flow and packet decoders return for whatever they get", () => {
  const flowMessages = EXCHANGES.filter((e) => e.step.startsWith("flow")).map((e) =>
    Uint8Array.fromHex(e.hex)
  );
  fuzz(flows.decodeFlow, flowMessages, { mutations: 50, truncations: 100 });
  const refusals = messagesOf("flow del again (ENOENT)", "RX");
  fuzz((bytes) => flows.decodeUpcall(F, bytes), [...MISSES, ...refusals], {
    mutations: 500,
    truncations: 400,
  });
});
