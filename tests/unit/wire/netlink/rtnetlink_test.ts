import assert from "node:assert/strict";
import { type Cidr, formatCidr, formatMac, parseCidr, parseMac } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import * as rt from "../../../../mod/wire/netlink/rtnetlink.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

interface Dump {
  readonly name: string;
  readonly replies: readonly string[];
  // deno-lint-ignore no-explicit-any
  readonly shown: any[];
}
const captured = loadVectors<
  {
    pid: number;
    indexes: { b: number; port: number; bridge: number };
    requests: { name: string; request: string }[];
  }
>("rtnetlink-requests");
const dumps = loadVectors<{ dumps: Dump[] }>("rtnetlink-dumps").dumps;

const cidr = (text: string): Cidr => parseCidr(text)!;

function dump(name: string): { replies: Uint8Array[]; shown: Dump["shown"] } {
  const found = dumps.find((d) => d.name === name)!;
  return { replies: found.replies.map(fromHex), shown: found.shown };
}

/** A request as hex without sequence and port id, which the socket fills in; ip pads the last attribute too. */
function essence(bytes: Uint8Array): string {
  const copy = new Uint8Array((bytes.length + 3) & ~3);
  copy.set(bytes);
  new DataView(copy.buffer).setUint32(0, copy.length, true);
  copy.fill(0, 8, 16);
  return toHex(copy);
}

function value<T>(decoded: { ok: true; value: T } | { ok: false; reason: string }): T {
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.value;
}

Deno.test("rtnetlink requests equal those of the ip tool", () => {
  const { b: index, port, bridge } = captured.indexes;
  const [macA, macB] = [parseMac("02:00:00:00:00:01")!, parseMac("02:00:00:00:00:02")!];
  const namespace = { kind: "pid", pid: captured.pid } as const;
  const ours: Record<string, Uint8Array> = {
    "veth pair": rt.newVeth(
      { name: "vmn0123456789", mtu: 1376, mac: macA },
      { name: "ethmesh", mtu: 1376, mac: macB },
    ),
    "veth pair, peer in the namespace of a process": rt.newVeth(
      { name: "vmnaa", mtu: 1376 },
      { name: "vmnbb", mtu: 1376, namespace },
    ),
    "mtu": rt.setLink(index, { mtu: 1400 }),
    "rename": rt.setLink(index, { name: "ethwe" }),
    "up": rt.setLink(index, { up: true }),
    "up again": rt.setLink(index, { up: true }),
    "down": rt.setLink(index, { up: false }),
    "add IPv4 address": rt.addAddress(index, cidr("10.2.1.1/24")),
    "add IPv6 address": rt.addAddress(index, cidr("fd00::1/64")),
    "add multicast route": rt.addLinkRoute(index, cidr("224.0.0.0/4")),
    "remove IPv4 address": rt.removeAddress(index, cidr("10.2.1.1/24")),
    "remove IPv6 address": rt.removeAddress(index, cidr("fd00::1/64")),
    "delete link": rt.deleteLink(index),
    "bridge": rt.newBridge("meshnet", { stp: false, multicastSnooping: false }),
    "port of a bridge": rt.setLink(port, { master: bridge }),
    "port no longer": rt.setLink(port, { master: 0 }),
  };
  assert.deepEqual(captured.requests.map((r) => r.name).sort(), Object.keys(ours).sort());
  for (const { name, request } of captured.requests) {
    assert.equal(essence(ours[name]!), essence(fromHex(request)), name);
  }
});

Deno.test("a link's program and what it sends through are read as they are asked for", () => {
  const made = rt.setLink(7, { program: 5 });
  const writer = new NetlinkWriter().begin(16, 0).u8(0).u8(0).u16(1).u32(7).u32(1).u32(0);
  writer.attrText(3, "meshnet").attrText(6, rt.BLACKHOLE);
  writer.close(writer.open(43)).end();
  assert.equal(value(rt.decodeLink(writer.finish())).qdisc, "blackhole");
  assert.equal(value(rt.decodeLink(writer.finish())).hasProgram, false);
  const attached = new NetlinkWriter().begin(16, 0).u8(0).u8(0).u16(1).u32(7).u32(1).u32(0).attrText(3, "m");
  const nest = attached.open(43);
  const link = value(rt.decodeLink(attached.attrU8(2, 2).close(nest).end().finish()));
  assert.deepEqual([link.hasProgram, link.qdisc], [true, undefined]);
  assert.deepEqual(rt.linksOfQdiscNotice(rt.dropWhatLeaves(7)), [7]);
  assert.deepEqual(rt.linksOfQdiscNotice(made), []);
  assert.deepEqual(rt.linksOfQdiscNotice(Uint8Array.of(1, 2)), []);
});

Deno.test("decodeLink() reads what ip shows", () => {
  for (const name of ["links", "one end of a veth pair whose other end is in another namespace"]) {
    const { replies, shown } = dump(name);
    const links = replies.map((bytes) => value(rt.decodeLink(bytes)));
    for (const expected of shown) {
      const link = links.find((l) => l.name === expected.ifname)!;
      assert.equal(link.index, expected.ifindex);
      assert.equal(link.mtu, expected.mtu);
      assert.equal(link.up, expected.flags.includes("UP"));
      assert.equal(link.kind, expected.linkinfo?.info_kind);
      const mac = link.mac === undefined ? undefined : formatMac(link.mac);
      if (expected.link_type === "ether") assert.equal(mac, expected.address);
      if (expected.link_type === "none") assert.equal(mac, undefined);
      const peer = expected.link_index ?? links.find((l) => l.name === expected.link)?.index;
      assert.equal(link.peerIndex, peer);
      assert.equal(link.peerNamespaceId, expected.link_netnsid);
      const { stp_state: stp, mcast_snooping: snooping } = expected.linkinfo?.info_data ?? {};
      const bridge = expected.linkinfo?.info_kind === "bridge"
        ? { stp: stp === 1, multicastSnooping: snooping === 1 }
        : undefined;
      const { maxLearned: _, ...told } = link.bridge ?? {}; // only kernels from 6.7 on tell it
      assert.deepEqual(link.bridge && told, bridge);
      assert.equal(link.master, links.find((l) => l.name === expected.master)?.index);
    }
  }
});

Deno.test("decodeAddress() reads what ip shows", () => {
  const { replies, shown } = dump("addresses");
  const decoded = replies.map((bytes) => value(rt.decodeAddress(bytes)));
  const expected = shown.flatMap((link) =>
    // deno-lint-ignore no-explicit-any
    (link.addr_info as any[]).map((a) => `${link.ifindex} ${a.local}/${a.prefixlen} ${a.scope}`)
  );
  const scopes: Record<number, string> = { 0: "global", 253: "link", 254: "host" };
  const got = decoded.map((a) => `${a.index} ${formatCidr(a.cidr)} ${scopes[a.scope]}`);
  assert.deepEqual(got.sort(), expected.sort());
  const added = decoded.find((a) => formatCidr(a.cidr) === "fd00::1/64")!;
  assert.equal(added.flags & rt.IFA_F.tentative, 0);
  assert.equal(added.flags & rt.IFA_F.permanent, rt.IFA_F.permanent);
});

Deno.test("decodeRoute() reads what ip shows", () => {
  const indexes = new Map(dump("links").shown.map((link) => [link.ifname as string, link.ifindex as number]));
  const tables: Record<string, number> = { local: 255, main: 254 };
  const types: Record<string, number> = {
    unicast: 1,
    local: 2,
    broadcast: 3,
    anycast: 4,
    multicast: 5,
    blackhole: 6,
  };
  for (const name of ["IPv4 routes of all tables", "IPv6 routes of all tables"]) {
    const v4 = name.startsWith("IPv4");
    const { replies, shown } = dump(name);
    const line = (destination: string, ...rest: unknown[]) => [destination, ...rest].join(" ");
    const got = replies.map((bytes) => value(rt.decodeRoute(bytes))).map((r) =>
      line(formatCidr(r.destination), r.interfaces.join(), r.viaGateway, r.table, r.type)
    );
    const expected = shown.map((r) => {
      const text = r.dst === "default" ? (v4 ? "0.0.0.0/0" : "::/0") : r.dst as string;
      // deno-lint-ignore no-explicit-any
      const hops: any[] = r.nexthops ?? (r.dev === undefined ? [] : [r]);
      return line(
        text.includes("/") ? text : `${text}/${v4 ? 32 : 128}`,
        hops.map((h) => indexes.get(h.dev)).join(),
        hops.some((h) => h.gateway !== undefined),
        tables[r.table ?? "main"] ?? Number(r.table),
        types[r.type ?? "unicast"],
      );
    });
    assert.deepEqual(got.sort(), expected.sort());
  }
});

Deno.test("rtnetlink decoders say why they refuse", () => {
  const link = dump("links").replies[0]!;
  const cases: [string, { ok: boolean; reason?: string }, RegExp][] = [
    ["a link for an address", rt.decodeAddress(link), /^message type is 16, expected 20$/],
    ["nothing", rt.decodeLink(new Uint8Array(0)), /^expected one message, got 0$/],
    [
      "a short header",
      rt.decodeLink(fromHex("14000000100000000000000000000000000000ff")),
      /^header needs 16/,
    ],
    [
      "no name",
      rt.decodeLink(fromHex("20000000100000000000000000000000000000000100000000000000ffffffff")),
      /no name/,
    ],
  ];
  for (const [name, decoded, reason] of cases) {
    assert.equal(decoded.ok, false, name);
    assert.match(decoded.reason!, reason, name);
  }
  const prefix = dump("addresses").replies[0]!.slice();
  prefix[17] = 33;
  assert.deepEqual(rt.decodeAddress(prefix), { ok: false, reason: "prefix length is 33" });
});

Deno.test("rtnetlink decoders return for any bytes", () => {
  const all = dumps.flatMap((d) => d.replies.map(fromHex));
  const short = { mutations: 60, truncations: 200 };
  fuzz(rt.decodeLink, dump("links").replies, short);
  fuzz(rt.decodeAddress, dump("addresses").replies, short);
  fuzz(rt.decodeRoute, all.filter((bytes) => bytes[4] === 24), short);
});

Deno.test("decodeSendDropped() gives what the ip tool shows, and trusts no length", () => {
  const { replies: [reply], shown: [shown] } = dump("a TAP that nobody reads");
  assert.equal(value(rt.decodeSendDropped(reply!)), shown.stats64.tx.dropped);
  assert.deepEqual(rt.decodeSendDropped(dump("links").replies[0]!), { ok: true, value: 0 });
  for (let length = 0; length < reply!.length; length += 16) rt.decodeSendDropped(reply!.slice(0, length));
  fuzz(rt.decodeSendDropped, [reply!]);
});
