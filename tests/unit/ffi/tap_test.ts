import assert from "node:assert/strict";
import { Tap } from "../../../ffi/tap.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { waitReadable, Wakeup } from "../../../ffi/poll.ts";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import { command } from "../../../mod/tasks/run.ts";
import { ip, NETNS, NETNS_PATH, possible, withNetns } from "./namespace.ts";
import { TAP_PACKET, type TapPort } from "../../../mod/overlay/ports/tap_port.ts";
import { VIRTIO_HEADER } from "../../../mod/wire/packet/virtio_net.ts";

Wakeup.create()[Symbol.dispose](); // opens the C library, once for the process
UdpSocket.open({ port: 0 })[Symbol.dispose]();

Deno.test({
  name: "Tap gives what the kernel sends into the interface, and sends what it is given",
  ignore: !possible,
  fn() {
    withNetns(() => {
      using tap = inNetns(NETNS_PATH, () => Tap.open({ name: "tap-test", longest: TAP_PACKET }));
      const port: TapPort = tap;
      assert.equal(port.read(0), 0);
      assert.ok(port.buffer.length >= TAP_PACKET + 64);
      ip("-n", NETNS, "addr", "add", "192.0.2.1/24", "dev", "tap-test");
      assert.ok(ip("-n", NETNS, "link", "set", "tap-test", "address", "02:00:00:00:00:01", "up"));
      ip("netns", "exec", NETNS, "ping", "-c1", "-W1", "192.0.2.2");
      const request = nextArp(port);
      assert.ok(request !== undefined, "the kernel asks for the address");
      const reply = new Uint8Array(VIRTIO_HEADER + 42);
      reply.set(request.subarray(0, VIRTIO_HEADER + 42));
      const frame = reply.subarray(VIRTIO_HEADER);
      frame.copyWithin(0, 6, 12);
      frame.set([2, 0, 0, 0, 0, 2], 6);
      frame[21] = 2;
      const [asker, asked] = [frame.slice(22, 32), frame.slice(38, 42)];
      frame.set([2, 0, 0, 0, 0, 2, ...asked, ...asker], 22);
      assert.equal(port.write(reply, 0, reply.length), true);
      const { stdout } = command(["ip", "-n", NETNS, "neigh"]).outputSync();
      assert.match(new TextDecoder().decode(stdout), /192\.0\.2\.2 .*02:00:00:00:00:02/);
      assert.throws(() => port.read(port.buffer.length - TAP_PACKET + 1), RangeError);
    });
  },
});

function nextArp(port: TapPort): Uint8Array | undefined {
  while (waitReadable(port.fd, 1_000)) {
    for (let length; (length = port.read(4)) > 0;) {
      const packet = port.buffer.slice(4, 4 + length);
      if (packet[VIRTIO_HEADER + 12] === 8 && packet[VIRTIO_HEADER + 13] === 6) return packet;
    }
  }
  return undefined;
}

Deno.test({
  name: "Tap says that a name is taken, and goes when it is disposed",
  ignore: !possible,
  fn() {
    withNetns(() => {
      const open = () => inNetns(NETNS_PATH, () => Tap.open({ name: "mesh-tap", longest: TAP_PACKET }));
      const tap = open();
      assert.equal(tap.name, "mesh-tap");
      assert.throws(open, /its name is in use/);
      tap[Symbol.dispose]();
      tap[Symbol.dispose]();
      assert.throws(() => tap.read(0), /disposed/);
      open()[Symbol.dispose]();
    });
  },
});

Deno.test("Tap refuses a name that the kernel would cut", () => {
  assert.throws(() => Tap.open({ name: "a-name-much-too-long", longest: TAP_PACKET }), TypeError);
});

Deno.test({
  name: "Tap notices that somebody removed its interface, and makes it again with the same descriptor",
  ignore: !possible,
  fn() {
    withNetns(() => {
      const made: string[] = [];
      using tap = inNetns(
        NETNS_PATH,
        () => Tap.open({ name: "tap-test", longest: TAP_PACKET, made: (name) => void made.push(name) }),
      );
      const { fd } = tap;
      assert.ok(ip("-n", NETNS, "link", "set", "tap-test", "up"));
      ip("-n", NETNS, "link", "del", "tap-test");
      while (!tap.gone && waitReadable(fd, 1_000)) tap.read(0);
      assert.ok(tap.gone);
      tap.remake();
      assert.deepEqual([tap.gone, tap.fd, made], [false, fd, ["tap-test", "tap-test"]]);
      assert.ok(ip("-n", NETNS, "link", "set", "tap-test", "up"), "it is there");
      ip("-n", NETNS, "addr", "add", "192.0.2.1/24", "dev", "tap-test");
      ip("netns", "exec", NETNS, "ping", "-c1", "-W1", "192.0.2.2");
      assert.ok(nextArp(tap) !== undefined, "the kernel's frames come to the same descriptor");
    });
  },
});
