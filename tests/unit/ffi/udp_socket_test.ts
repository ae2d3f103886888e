import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { waitReadable, Wakeup } from "../../../ffi/poll.ts";
import { type Refused, UdpSocket, type UdpSocketOptions } from "../../../ffi/udp_socket.ts";
import { ip, NETNS, NETNS_PATH, possible, withNetns } from "./namespace.ts";

Wakeup.create()[Symbol.dispose](); // opens the C library, once for the process
UdpSocket.open({ port: 0 })[Symbol.dispose]();

const LOOPBACK = "127.0.0.1" as Ip;
const LOOPBACK6 = "::1" as Ip;

/** Datagrams that a socket has received, each with its sender's port and address. */
function received(socket: UdpSocket, count: number) {
  const list: { bytes: Uint8Array; source: string; message: number }[] = [];
  while (list.length < count && waitReadable(socket.fd, 2_000)) {
    const messages = socket.receive();
    for (let message = 0; message < messages; message++) {
      const { bytes, from, to, size } = socket.ring;
      const source = socket.source(message)!;
      for (let at = from[message]!; at < to[message]!; at += size[message]!) {
        const end = Math.min(at + size[message]!, to[message]!);
        list.push({ bytes: bytes.slice(at, end), source: `${source.ip} ${source.port}`, message });
      }
    }
  }
  return list;
}

/** Sends numbered datagrams of `size` octets, the last one of `last`, as one message. */
function sendGroup(
  from: UdpSocket,
  to: UdpSocket,
  group: { count: number; size: number; last: number; host?: Ip },
): void {
  const { count, size, last, host = LOOPBACK } = group;
  for (let i = 0; i < count; i++) from.outgoing.fill(i + 1, i * size, (i + 1) * size);
  const peer = from.peer({ ip: host, port: to.local.port })!;
  from.queue(peer, true, { from: 0, to: (count - 1) * size + last, size, tag: 1 });
  from.flush();
}

const VARIANTS: readonly UdpSocketOptions[] = [
  { host: LOOPBACK, port: 0 },
  { port: 0 },
  { port: 0, groups: false },
];

Deno.test("UdpSocket sends and receives groups of datagrams, also where nobody groups", () => {
  for (const ours of VARIANTS) {
    for (const theirs of VARIANTS) {
      using a = UdpSocket.open(ours);
      using b = UdpSocket.open(theirs);
      sendGroup(a, b, { count: 40, size: 1_400, last: 100 });
      const list = received(b, 40);
      assert.deepEqual(list.map((one) => one.bytes.length), [...Array(39).fill(1_400), 100]);
      list.forEach(({ bytes, source }, i) => {
        assert.ok(bytes.every((octet) => octet === i + 1));
        assert.equal(source, `127.0.0.1 ${a.local.port}`);
      });
    }
  }
});

Deno.test("UdpSocket knows a message's sender, over IPv4 and IPv6", () => {
  using a = UdpSocket.open({ port: 0 });
  using b = UdpSocket.open({ port: 0 });
  for (const ip of [LOOPBACK, LOOPBACK6]) {
    sendGroup(a, b, { count: 1, size: 10, last: 10, host: ip });
    assert.equal(received(b, 1)[0]?.source, `${ip} ${a.local.port}`);
    for (
      const [sender, port] of [[ip, a.local.port], [ip, 9], [LOOPBACK, 9], ["::2", a.local.port]] as const
    ) {
      const is = sender === ip && port === a.local.port;
      assert.equal(b.isFrom(0, b.peer({ ip: sender as Ip, port })!), is);
    }
  }
});

Deno.test("UdpSocket tells the path MTU of DF messages that are too big, and sends them without DF", () => {
  using a = UdpSocket.open({ host: LOOPBACK, port: 0 });
  using b = UdpSocket.open({ host: LOOPBACK, port: 0 });
  const refused: Parameters<Refused>[] = [];
  a.refused = (...args) => refused.push(args);
  const peer = a.peer(b.local)!;
  const mtus = { interfaceMtu: 65_535, routeMtu: 65_535 };
  assert.deepEqual(a.pathMtus(peer), mtus);
  a.queue(peer, false, { from: 0, to: 65_507, size: 65_507, tag: 4 });
  a.queue(peer, true, { from: 0, to: 100, size: 100, tag: 5 });
  a.flush();
  assert.deepEqual(received(b, 2).map((one) => one.bytes.length), [65_507, 100]);
  a.queue(peer, true, { from: 0, to: 65_515, size: 65_515, tag: 6 });
  a.queue(peer, true, { from: 0, to: 200, size: 200, tag: 7 });
  a.flush();
  assert.deepEqual(refused, [[6, "too-big", { ...mtus, datagrams: 1 }]]);
  assert.deepEqual(received(b, 1).map((one) => one.bytes.length), [200]);
});

Deno.test("UdpSocket counts what the kernel threw away while nobody received, groups or not", () => {
  for (const groups of [true, false]) {
    using a = UdpSocket.open({ host: LOOPBACK, port: 0, groups });
    using b = UdpSocket.open({ host: LOOPBACK, port: 0, groups });
    const peer = a.peer(b.local)!;
    const size = 1_000;
    let sent = 0;
    for (; sent < 60 * 2_000; sent += 60) {
      a.queue(peer, false, { from: 0, to: 60 * size, size, tag: 1 });
      if (sent % 240 === 180) a.flush();
    }
    a.flush();
    let got = 0;
    const drain = () => {
      for (let count; (count = b.receive()) > 0;) {
        for (let i = 0; i < count; i++) got += Math.ceil((b.ring.to[i]! - b.ring.from[i]!) / b.ring.size[i]!);
      }
    };
    drain();
    assert.ok(got < sent, `${got} of ${sent} received`);
    assert.equal(b.lost, 0, "what came before the loss does not tell of it");
    for (let i = 0; i < 2; i++) {
      a.queue(peer, false, { from: 0, to: 10, size: 10, tag: 1 });
      a.flush();
      drain();
      // A group that is thrown away counts once.
      if (groups) assert.ok(b.lost > 0 && b.lost <= sent + 2 - got, `${b.lost} lost, ${sent - got} missing`);
      else assert.equal(b.lost, sent + i + 1 - got);
    }
  }
});

Deno.test("UdpSocket of IPv4 reaches no IPv6 address; ports in use are said so", () => {
  using a = UdpSocket.open({ host: LOOPBACK, port: 0 });
  assert.equal(a.peer({ ip: LOOPBACK6, port: 1 }), undefined);
  assert.throws(() => UdpSocket.open({ host: LOOPBACK, port: a.local.port }), /the port is taken/);
});

Deno.test("UdpSocket is of no use once disposed, which may happen twice", () => {
  const socket = UdpSocket.open({ host: LOOPBACK, port: 0 });
  socket[Symbol.dispose]();
  socket[Symbol.dispose]();
  assert.throws(() => socket.receive(), /disposed/);
});

Deno.test({
  name: "UdpSocket keeps to the MTU of the path: groups and single datagrams, with DF and without",
  ignore: !possible,
  fn() {
    withNetns(() => {
      ip("-n", NETNS, "link", "set", "lo", "mtu", "1500", "up");
      const open = () => inNetns(NETNS_PATH, () => UdpSocket.open({ port: 0 }));
      using a = open();
      using b = open();
      for (const [host, outer] of [[LOOPBACK, 28], [LOOPBACK6, 48]] as const) {
        const refused: Parameters<Refused>[] = [];
        a.refused = (...args) => refused.push(args);
        const peer = a.peer({ ip: host, port: b.local.port })!;
        const largest = 1_500 - outer;
        const send = (df: boolean, size: number, count: number) =>
          inNetns(NETNS_PATH, () => {
            a.queue(peer, df, { from: 0, to: count * size, size, tag: size });
            a.flush();
          });
        send(true, largest, 10);
        assert.equal(received(b, 10).length, 10);
        send(true, largest + 1, 10);
        send(true, largest + 1, 1);
        send(true, 60_000, 1);
        const mtus = { interfaceMtu: 1_500, routeMtu: 1_500 };
        assert.deepEqual(refused, [
          [largest + 1, "too-big", { ...mtus, datagrams: 10 }],
          [largest + 1, "too-big", { ...mtus, datagrams: 1 }],
          [60_000, "too-big", { ...mtus, datagrams: 1 }],
        ]);
        send(false, 60_000, 1);
        assert.deepEqual(received(b, 1).map((one) => one.bytes.length), [60_000]);
        send(false, 3_000, 10);
        assert.deepEqual(received(b, 10).map((one) => one.bytes.length), Array(10).fill(3_000));
        send(true, 700, 20);
        assert.equal(received(b, 20).length, 20);
        assert.equal(refused.length, 3);
      }
    });
  },
});

Deno.test({
  name: "UdpSocket sends what the interface takes, whatever the kernel believes of the route",
  ignore: !possible,
  fn() {
    withNetns(() => {
      const within = (...args: string[]) => assert.ok(ip("-n", NETNS, ...args), args.join(" "));
      within("link", "add", "u0", "type", "veth", "peer", "name", "u1");
      within("link", "set", "u1", "up");
      within("link", "set", "u0", "mtu", "1500", "up");
      within("address", "add", "10.9.0.1/24", "dev", "u0");
      within("address", "add", "fd00:9::1/64", "dev", "u0", "nodad");
      within("route", "add", "10.9.1.0/24", "dev", "u0", "mtu", "600");
      within("-6", "route", "add", "fd00:9:1::/64", "dev", "u0", "mtu", "1300");
      inNetns(`/run/netns/${NETNS}`, () => {
        using socket = UdpSocket.open({ port: 0 });
        for (const [host, outer, routeMtu] of [["10.9.1.2", 28, 600], ["fd00:9:1::2", 48, 1_300]] as const) {
          const refused: Parameters<Refused>[] = [];
          socket.refused = (...args) => refused.push(args);
          const peer = socket.peer({ ip: host as Ip, port: 6783 })!;
          for (const [size, count] of [[1_500 - outer, 10], [1_501 - outer, 10], [60_000, 1]] as const) {
            socket.queue(peer, true, { from: 0, to: count * size, size, tag: count });
            socket.flush();
          }
          const mtus = { interfaceMtu: 1_500, routeMtu };
          assert.deepEqual(refused, [
            [10, "too-big", { ...mtus, datagrams: 10 }],
            [1, "too-big", { ...mtus, datagrams: 1 }],
          ]);
        }
      });
    });
  },
});

Deno.test("UdpSocket sends from the address that it is told, and from the kernel's choice when it has not got that", () => {
  for (const ours of [{ port: 0 }, { host: LOOPBACK, port: 0, groups: false }]) {
    using a = UdpSocket.open({ ...ours, host: undefined });
    using b = UdpSocket.open({ port: 0 });
    const refused: Parameters<Refused>[] = [];
    a.refused = (...args) => refused.push(args);
    const sources = (local: string | undefined, count: number, size = 100) => {
      const peer = a.peer({ ip: LOOPBACK, port: b.local.port }, local as Ip | undefined)!;
      for (let i = 0; i < 3; i++) a.queue(peer, i !== 1, { from: 0, to: count * size, size, tag: 1 });
      a.flush();
      const list = received(b, 3 * count);
      assert.equal(list.length, 3 * count);
      return [...new Set(list.map((one) => one.source.split(" ")[0]))];
    };
    for (const count of [1, 20]) {
      assert.deepEqual(sources("127.0.0.2", count), ["127.0.0.2"]);
      assert.deepEqual(sources(undefined, count), ["127.0.0.1"], "nothing is left of the last one");
      assert.deepEqual(sources("192.0.2.77", count), ["127.0.0.1"], "it is not ours");
      assert.deepEqual(sources("127.0.0.3", count), ["127.0.0.3"]);
    }
    assert.deepEqual(refused, []);
    const strictly: Parameters<Refused>[] = [];
    a.refused = (...args) => strictly.push(args);
    const elsewhere = { ip: LOOPBACK, port: b.local.port };
    const from = (local: string) => a.peer(elsewhere, local as Ip, { fixed: true })!;
    for (const local of ["192.0.2.77", "127.0.0.2"]) {
      a.queue(from(local), true, { from: 0, to: 100, size: 100, tag: 7 });
      a.flush();
    }
    assert.deepEqual(strictly.map(([tag, why]) => [tag, why]), [[7, "unreachable"]]);
    assert.deepEqual(received(b, 1).map((one) => one.source.split(" ")[0]), ["127.0.0.2"]);
  }
});

Deno.test({
  name: "UdpSocket sends from the address that it is told over IPv6, and in groups of many messages",
  ignore: !possible,
  fn() {
    withNetns(() => {
      const within = (...args: string[]) => assert.ok(ip("-n", NETNS, ...args), args.join(" "));
      within("link", "set", "lo", "up");
      for (const n of [1, 2, 3]) within("address", "add", `fd00::${n}/128`, "dev", "lo");
      inNetns(NETNS_PATH, () => {
        using a = UdpSocket.open({ port: 0 });
        using b = UdpSocket.open({ port: 0 });
        const peers = ["fd00::2", "fd00::3", undefined, "fd00::9"].map((local) =>
          a.peer({ ip: "fd00::1" as Ip, port: b.local.port }, local as Ip | undefined)!
        );
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 40; i++) {
            a.queue(peers[i % 4]!, true, { from: 0, to: 300, size: i % 3 === 0 ? 100 : 300, tag: i });
          }
          a.flush();
          const list = received(b, 40 + 2 * 14);
          const from = (source: string) => list.filter((one) => one.source.startsWith(`${source} `)).length;
          assert.deepEqual(["fd00::2", "fd00::3", "fd00::1"].map(from), [18, 16, 34]);
        }
      });
    });
  },
});
