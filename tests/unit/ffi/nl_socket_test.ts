import assert from "node:assert/strict";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { findFamily } from "../../../mod/wire/netlink/genetlink.ts";
import { NLM_F } from "../../../mod/wire/netlink/netlink.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { dumpLinks } from "../../../mod/wire/netlink/rtnetlink.ts";
import { NETLINK_CODEC } from "../../../mod/wire/netlink/netlink_reply.ts";
import type { NetlinkCodec } from "../../../mod/core/ports.ts";
import { openNetlink } from "../../../ffi/nl_socket.ts";
import { ip, NETNS, NETNS_PATH, possible, withNetns } from "./namespace.ts";
import { DatagramBatch } from "../../../ffi/datagram_batch.ts";
import { openNetlinkIn } from "../../../mod/daemon/host/netlink.ts";

openNetlinkIn({ protocol: "generic" })[Symbol.dispose](); // opens the libraries, once for the process

/** A dump of all Generic Netlink families. */
function familyDump(): Uint8Array<ArrayBuffer> {
  return new NetlinkWriter().begin(16, NLM_F.request | NLM_F.dump).u8(3).u8(1).u16(0).end().finish();
}

Deno.test("NlSocket.request() looks up the controller of Generic Netlink in the running kernel", () => {
  using socket = openNetlinkIn({ protocol: "generic" });
  const family = findFamily(socket, "nlctrl");
  assert.equal(family?.id, 16);
  assert.equal(family?.groups.has("notify"), true);
  assert.equal(findFamily(socket, "no-such-family"), undefined);
  assert.ok(socket.portId > 0);
});

Deno.test("NlSocket.request() collects a dump of many messages", () => {
  using socket = openNetlinkIn({ protocol: "generic" });
  const replies = socket.request(familyDump());
  assert.ok(replies.length >= 2);
  assert.ok(replies.every((reply) => reply[4] === 16));
});

/** A codec that counts the answers, and hands what comes to somebody before it is taken. */
function watchedCodec(before: (asked: number) => void, interrupted?: (asked: number) => boolean) {
  const codec = {
    ...{ asked: 0, complete: NETLINK_CODEC.complete },
    answerTo(seq: number) {
      const asked = ++codec.asked;
      const answer = NETLINK_CODEC.answerTo(seq);
      return {
        get replies() {
          return answer.replies;
        },
        get verdict() {
          return answer.verdict;
        },
        get interrupted() {
          return answer.interrupted || interrupted?.(asked) === true;
        },
        take(datagram: Uint8Array) {
          const taken = answer.take(datagram);
          before(asked);
          return taken;
        },
      };
    },
  };
  return codec satisfies NetlinkCodec;
}

/** A list that never is whole, read in time. */
function assertTorn(read: () => unknown): void {
  const began = performance.now();
  assert.throws(read, { code: "netlink/torn", message: /it changed during each of 11 attempts$/ });
  const took = performance.now() - began;
  assert.ok(took >= 200 && took < 20_000, `it took ${took} ms`);
}

Deno.test("NlSocket.request() reads a list again that changed meanwhile, and throws rather than give half of it", () => {
  for (const whole of [1, 2, 11]) {
    const codec = watchedCodec(() => {}, (asked) => asked < whole);
    using socket = openNetlink({ protocol: "generic", codec });
    assert.ok(socket.request(familyDump()).length >= 2);
    assert.equal(codec.asked, whole);
  }
  const codec = watchedCodec(() => {}, (asked) => asked <= 11);
  using socket = openNetlink({ protocol: "generic", codec });
  assertTorn(() => socket.request(familyDump()));
  assert.equal(codec.asked, 11);
  assert.equal(findFamily(socket, "nlctrl")?.id, 16); // and goes on
});

Deno.test(
  "NlSocket.request() notices that interfaces came while it listed them",
  { ignore: !possible },
  () => {
    withNetns(() => {
      const names = Array.from({ length: 100 }, (_, i) => `d${i}`);
      // Two to a call: their list does not fit one datagram, so that something can come in between.
      for (const name of names.filter((_, i) => i % 2 === 0)) {
        assert.ok(ip("-n", NETNS, "link", "add", name, "type", "veth", "peer", "name", `${name}p`));
      }
      let changing = 0;
      let made = 0;
      const codec = watchedCodec((asked) => {
        if (asked > changing) return;
        made++;
        assert.ok(ip("-n", NETNS, "link", "add", `n${made}`, "type", "veth", "peer", "name", `n${made}p`));
      });
      using socket = openNetlink({ protocol: "route", netns: NETNS_PATH, codec });
      const count = () => socket.request(dumpLinks()).length;
      const first = count();
      assert.ok(first > names.length, `${first} interfaces`);
      assert.equal(codec.asked, 1);
      changing = 3; // the attempts 2 and 3
      assert.equal(count(), first + 2 * made);
      assert.equal(codec.asked, 4);
      changing = Infinity;
      assertTorn(count);
    });
  },
);

Deno.test("NlSocket.request() throws what the kernel refuses, with errno and its explanation", () => {
  using socket = openNetlinkIn({ protocol: "generic" });
  const nameless = new NetlinkWriter().begin(16, NLM_F.request).u8(3).u8(1).u16(0).attrBytes(
    1,
    new Uint8Array(1),
  )
    .end().finish();
  const refused = (thrown: unknown) =>
    thrown instanceof MeshnetError && thrown.code === "netlink/request-failed" &&
    (thrown.errno === ERRNO.EINVAL || thrown.errno === ERRNO.ERANGE) &&
    /^Kernel refuses request: .*, .*(policy|length)/i.test(thrown.message);
  assert.throws(() => socket.request(nameless), refused);
  assert.equal(findFamily(socket, "nlctrl")?.id, 16); // and goes on
});

Deno.test("NlSocket.receive() does not wait, and request() overlooks answers nobody waited for", () => {
  using socket = openNetlinkIn({ protocol: "generic" });
  assert.equal(socket.receive(), undefined);
  socket.send(familyDump());
  for (let i = 0; i < 3; i++) assert.equal(findFamily(socket, "nlctrl")?.id, 16);
});

Deno.test("NlSocket sends what is gathered for one send, twice 64 KiB and more", () => {
  using socket = openNetlinkIn({ protocol: "generic" });
  const writer = new NetlinkWriter();
  while (writer.length < 150_000) writer.begin(1, 0).end(); // NLMSG_NOOP
  socket.send(writer.finish());
  assert.equal(findFamily(socket, "nlctrl")?.id, 16);
});

Deno.test("NlSocket cannot be used after disposal, and disposal repeats", () => {
  const socket = openNetlinkIn({ protocol: "generic" });
  socket[Symbol.dispose]();
  socket[Symbol.dispose]();
  assert.throws(() => socket.request(familyDump()), TypeError);
  assert.throws(() => socket.receive(), TypeError);
});

Deno.test("openNetlink() names a namespace that is not there", () => {
  const missing = { protocol: "route", netns: "/run/netns/no-such-namespace" } as const;
  assert.throws(() => openNetlinkIn(missing), {
    code: "native/call-failed",
    message: "Cannot open network namespace /run/netns/no-such-namespace: no such entry (ENOENT)",
  });
});

Deno.test("DatagramBatch receives several datagrams at once and counts those that do not fit", () => {
  using socket = openNetlinkIn({ protocol: "generic" });
  const lookups = ["nlctrl", "no-such-family", "nlctrl"].map((name) =>
    new NetlinkWriter().begin(16, NLM_F.request, 7).u8(3).u8(1).u16(0).attrText(2, name).end().finish()
  );
  lookups.forEach((message) => socket.send(message));
  const batch = new DatagramBatch(2, 4096);
  assert.deepEqual(batch.receive(socket.fd).map((bytes) => bytes[4]), [16, 2]);
  assert.deepEqual(batch.receive(socket.fd).map((bytes) => bytes[4]), [16]);
  assert.deepEqual(batch.receive(socket.fd), []);
  const small = new DatagramBatch(4, 32);
  lookups.forEach((message) => socket.send(message));
  assert.equal(small.receive(socket.fd).length, 0);
  assert.equal(small.truncated, 3);
});
