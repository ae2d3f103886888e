import assert from "node:assert/strict";
import { AnswerGroups } from "../../../ffi/answer_groups.ts";
import { C, libc } from "../../../ffi/c_symbols.ts";
import { Epoll } from "../../../ffi/epoll.ts";
import { waitReadable, Wakeup } from "../../../ffi/poll.ts";
import { QuerySocket } from "../../../ffi/query_socket.ts";
import { StreamListener, StreamSocket } from "../../../ffi/stream_socket.ts";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import { check, fc } from "../properties.ts";

Wakeup.create()[Symbol.dispose](); // opens the C library, once for the process
new Epoll()[Symbol.dispose]();
new QuerySocket(at("127.0.0.1"))[Symbol.dispose]();
new StreamListener(at("127.0.0.1"))[Symbol.dispose]();

function at(ip: string, port = 0): Endpoint {
  return { ip: ip as Ip, port };
}

/** Reads one message on a socket that hears of one other end alone, waiting for it. */
function heard(socket: StreamSocket): string {
  assert.ok(waitReadable(socket.fd, 2_000));
  const buffer = new Uint8Array(8_192);
  return new TextDecoder().decode(buffer.subarray(0, socket.read(buffer)));
}

const bytes = (text: string) => new TextEncoder().encode(text);

for (
  const [bound, asked] of [["127.0.0.1", "127.0.0.1"], ["0.0.0.0", "127.0.0.3"], ["::1", "::1"], [
    "::",
    "::1",
  ]]
) {
  Deno.test(`QuerySocket on ${bound} answers from the address that was asked, many at once and later`, () => {
    using socket = new QuerySocket(at(bound!));
    const { port } = socket.endpoint;
    using a = StreamSocket.connect("udp", at(asked!, port));
    using b = StreamSocket.connect("udp", at(asked!, port));
    for (const text of ["one", "two", "three"]) a.write(bytes(text));
    b.write(bytes("four"));
    assert.ok(waitReadable(socket.fd, 2_000));
    const count = socket.receive();
    assert.equal(count, 4);
    const texts = Array.from({ length: count }, (_, i) => new TextDecoder().decode(socket.question(i)));
    assert.deepEqual(texts, ["one", "two", "three", "four"]);
    for (const i of [0, 2, 3]) {
      socket.reply(i, socket.room(i).set(bytes(`${texts[i]}!`)) ?? texts[i]!.length + 1);
    }
    const origin = socket.origin(1);
    socket.flush();
    assert.equal(socket.receive(), 0);
    socket.replyTo(origin, bytes("two, late"));
    assert.deepEqual([heard(a), heard(a)].sort(), ["one!", "three!"]);
    assert.deepEqual([heard(a), heard(b)], ["two, late", "four!"]);
    assert.equal(socket.unsent, 0);
    assert.equal(socket.isIpv4, !bound!.includes(":"));
    assert.equal(socket.source(0), socket.isIpv4 ? 0x7f00_0001 : 0);
  });
}

/** Answers of these lengths to these clients, in batches; what each client has heard, each answer by its first octets. */
function exchange(
  socket: QuerySocket,
  answers: readonly (readonly [client: number, length: number])[],
): void {
  using undo = new DisposableStack();
  const clients = Array.from({ length: 5 }, () => undo.use(StreamSocket.connect("udp", socket.endpoint)));
  for (const [i, [client]] of answers.entries()) clients[client]!.write(Uint8Array.of(i >> 8, i & 255));
  const expected = clients.map((_, client) =>
    answers.flatMap(([to, length], i) => to === client ? [`${i} ${length}`] : []).sort()
  );
  for (let left = answers.length; left > 0;) {
    assert.ok(waitReadable(socket.fd, 2_000));
    const count = socket.receive();
    for (let i = 0; i < count; i++) {
      const question = socket.question(i);
      const [, length] = answers[question[0]! << 8 | question[1]!]!;
      socket.room(i).fill(question[1]!, 0, length).set(question);
      socket.reply(i, length);
    }
    socket.flush();
    left -= count;
  }
  const buffer = new Uint8Array(8_192);
  const got = clients.map((client, i) =>
    expected[i]!.map(() => {
      assert.ok(waitReadable(client.fd, 2_000));
      const length = client.read(buffer);
      assert.ok(
        buffer.subarray(1, length).every((octet) => octet === buffer[1]),
        "one answer, and all of it",
      );
      return `${buffer[0]! << 8 | buffer[1]!} ${length}`;
    }).sort()
  );
  assert.deepEqual(got, expected);
  assert.equal(socket.unsent, 0);
}

const lengths = fc.oneof(fc.constantFrom(50, 66, 90), fc.integer({ min: 2, max: 4_096 }));
const answerLists = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), lengths), {
  minLength: 1,
  maxLength: 200,
});

for (const bound of ["127.0.0.1", "::1", "0.0.0.0"]) {
  Deno.test(`QuerySocket on ${bound} gives each client its answers whole, whatever shares a message`, () => {
    check(fc.property(answerLists, (answers) => {
      using socket = new QuerySocket(at(bound));
      exchange(socket, answers);
    }));
  });
}

Deno.test("QuerySocket sends each answer by itself where the kernel takes no several at once", () => {
  using socket = new QuerySocket(at("127.0.0.1"));
  const noChecksums = 11; // SO_NO_CHECK: without checksums the kernel cuts nothing apart
  assert.equal(
    libc().setsockopt(socket.fd, C.SOL_SOCKET, noChecksums, new Uint8Array(Int32Array.of(1).buffer), 4),
    0,
  );
  for (let i = 0; i < 2; i++) exchange(socket, [[0, 50], [1, 60], [0, 50], [0, 40], [1, 70], [2, 9]]);
});

Deno.test("AnswerGroups puts answers to one client together, the shorter one last", () => {
  const clients = [1, 2, 1, 1, 2, 2, 1, 3];
  const lengths = [50, 50, 50, 40, 60, 50, 50, 2_000];
  const names = Uint32Array.from(clients.flatMap((client) => [2, client, 0, 0]));
  const groups = new AnswerGroups(8, { names, words: 4, compared: 2, enabled: true });
  for (let round = 0; round < 2; round++) {
    for (const [i, length] of lengths.entries()) groups.add(i, length);
    const all = Array.from({ length: groups.count }, (_, group) => {
      const list = [];
      for (let i = groups.first[group]!; i >= 0; i = groups.next[i]!) list.push(i);
      assert.equal(list.length, groups.answers[group]);
      return [groups.size[group], ...list];
    });
    assert.deepEqual(all, [[50, 0, 2, 3], [60, 4, 1], [50, 5], [50, 6], [2_000, 7]]);
    groups.clear();
  }
});

Deno.test("QuerySocket gives up answers that the kernel refuses, and sends the others", () => {
  using socket = new QuerySocket(at("127.0.0.1"));
  using a = StreamSocket.connect("udp", socket.endpoint);
  for (const text of ["one", "two", "three", "four"]) a.write(bytes(text));
  assert.ok(waitReadable(socket.fd, 2_000));
  const count = socket.receive();
  for (let i = 0; i < count; i++) {
    socket.room(i).set(socket.question(i));
    socket.reply(i, i % 2 === 0 ? 70_000 : 3); // longer than any datagram
  }
  socket.flush();
  assert.deepEqual([heard(a), heard(a)], ["two", "fou"]);
  assert.equal(socket.unsent, 2);
});

Deno.test("QuerySocket takes questions that are longer than any for empty ones", () => {
  using socket = new QuerySocket(at("127.0.0.1"));
  using a = StreamSocket.connect("udp", socket.endpoint);
  a.write(new Uint8Array(4_097));
  a.write(bytes("after"));
  assert.ok(waitReadable(socket.fd, 2_000));
  assert.equal(socket.receive(), 2);
  assert.deepEqual([socket.question(0).length, socket.question(1).length], [0, 5]);
});

Deno.test("QuerySocket and StreamListener say that a port is taken", () => {
  using udp = new QuerySocket(at("127.0.0.1"));
  assert.throws(() => new QuerySocket(udp.endpoint), { code: "native/call-failed", errno: 98 });
  using _tcp = new StreamListener(udp.endpoint);
  assert.throws(() => new StreamListener(udp.endpoint), { code: "native/call-failed", errno: 98 });
  assert.throws(() => new QuerySocket(at("192.0.2.1")), { errno: 99 });
});

Deno.test("StreamListener and StreamSocket connect, and hear of each other's end", () => {
  using port = new QuerySocket(at("127.0.0.1")); // a number that nobody has
  using listener = new StreamListener(port.endpoint);
  assert.equal(listener.accept(), undefined);
  using client = StreamSocket.connect("tcp", port.endpoint);
  assert.ok(waitReadable(listener.fd, 2_000));
  const accepted = listener.accept();
  assert.ok(accepted instanceof StreamSocket);
  using server = accepted;
  assert.equal(server.remote.ip, "127.0.0.1");
  assert.equal(server.read(new Uint8Array(100)), -1);
  assert.equal(client.write(bytes("question")), 8);
  assert.equal(heard(server), "question");
  client[Symbol.dispose]();
  assert.equal(heard(server), "");
  listener[Symbol.dispose]();
  using refused = StreamSocket.connect("tcp", port.endpoint);
  waitReadable(refused.fd, 2_000);
  assert.equal(refused.write(bytes("question")), -2);
});

Deno.test("Epoll tells who is ready, input or output", () => {
  using epoll = new Epoll();
  using a = Wakeup.create();
  using b = Wakeup.create();
  epoll.add(a.fd);
  epoll.add(b.fd);
  assert.equal(epoll.wait(0), 0);
  b.signal();
  assert.equal(epoll.wait(1_000), 1);
  assert.equal(epoll.ready(0), b.fd);
  a.signal();
  assert.equal(epoll.wait(1_000), 2);
  epoll.remove(b.fd);
  assert.equal(epoll.wait(1_000), 1);
  assert.equal(a.take(), 1);
  assert.equal(epoll.wait(0), 0);
  epoll.change(a.fd, true);
  assert.equal(epoll.wait(1_000), 1);
});
