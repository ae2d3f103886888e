import assert from "node:assert/strict";
import { StandingEpoll } from "../../../ffi/epoll.ts";
import { Poller, waitReadable, Wakeup } from "../../../ffi/poll.ts";

Wakeup.create()[Symbol.dispose](); // opens the C library, once for the process
new StandingEpoll([])[Symbol.dispose]();

Deno.test("Poller.wait() tells which descriptors are ready", () => {
  using a = Wakeup.create();
  using b = Wakeup.create();
  const poller = new Poller([a.fd, b.fd]);
  assert.equal(poller.wait(0), 0);
  b.signal();
  assert.equal(poller.wait(0), 1);
  assert.deepEqual([poller.isReady(0), poller.isReady(1)], [false, true]);
  a.signal();
  assert.equal(poller.wait(1000), 2);
});

Deno.test("StandingEpoll.wait() tells which descriptors are ready, and forgets what was ready before", () => {
  using a = Wakeup.create();
  using b = Wakeup.create();
  using set = new StandingEpoll([a.fd, b.fd]);
  const ready = () => [set.isReady(0), set.isReady(1)];
  assert.equal(set.wait(0), 0);
  b.signal();
  assert.equal(set.wait(0), 1);
  assert.deepEqual(ready(), [false, true]);
  assert.equal(set.wait(0), 1, "as long as nobody takes it");
  a.signal();
  assert.equal(set.wait(1000), 2);
  assert.deepEqual(ready(), [true, true]);
  b.take();
  assert.equal(set.wait(1000), 1);
  assert.deepEqual(ready(), [true, false]);
  a.take();
  assert.equal(set.wait(0), 0);
  assert.deepEqual(ready(), [false, false]);
});

Deno.test("Wakeup.take() counts and clears signals, of attached ones too", () => {
  using owner = Wakeup.create();
  assert.equal(owner.take(), 0);
  using other = Wakeup.attach(owner.fd);
  owner.signal();
  other.signal();
  other.signal();
  assert.equal(waitReadable(owner.fd, 0), true);
  assert.equal(owner.take(), 3);
  assert.equal(waitReadable(owner.fd, 0), false);
  other[Symbol.dispose]();
  owner.signal(); // disposing what was attached leaves the owner's descriptor alone
  assert.equal(owner.take(), 1);
});

Deno.test("Wakeup cannot be used after disposal", () => {
  const wakeup = Wakeup.create();
  wakeup[Symbol.dispose]();
  wakeup[Symbol.dispose]();
  assert.throws(() => wakeup.signal(), TypeError);
});
