import assert from "node:assert/strict";
import { ByteQueue } from "../../../../mod/wire/mesh/byte_queue.ts";
import { check, fc } from "../../properties.ts";

Deno.test("ByteQueue gives out what was pushed, in order, and keeps what it gave out intact", () => {
  const chunk = fc.uint8Array({ maxLength: 20 });
  check(fc.property(fc.array(fc.tuple(chunk, fc.nat(30)), { maxLength: 40 }), (steps) => {
    const queue = new ByteQueue();
    const model: number[] = [];
    const taken: { bytes: Uint8Array; copy: number[] }[] = [];
    for (const [bytes, wanted] of steps) {
      queue.push(bytes.slice());
      model.push(...bytes);
      assert.deepEqual([...queue.view()], model);
      const part = queue.take(Math.min(wanted, queue.length));
      taken.push({ bytes: part, copy: model.splice(0, part.length) });
      assert.equal(queue.length, model.length);
    }
    for (const { bytes, copy } of taken) assert.deepEqual([...bytes], copy);
  }));
});

Deno.test("ByteQueue.take() copies nothing when messages arrive whole", () => {
  const chunk = Uint8Array.of(1, 2, 3, 4);
  const queue = new ByteQueue();
  queue.push(chunk);
  assert.equal(queue.take(2).buffer, chunk.buffer);
  assert.equal(queue.take(2).byteOffset, 2);
});

Deno.test("ByteQueue.push() never writes into a chunk it was handed", () => {
  const room = new Uint8Array(8);
  const queue = new ByteQueue();
  queue.push(room.subarray(0, 2));
  queue.push(Uint8Array.of(9, 9));
  assert.deepEqual([...room], [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual([...queue.take(4)], [0, 0, 9, 9]);
});

Deno.test("ByteQueue holds no more than it awaits, and lets go of a long message once it is taken", () => {
  const queue = new ByteQueue();
  const length = 1_000_000;
  queue.push(new Uint8Array(10));
  queue.expect(length);
  for (let sent = 10; sent < length; sent += 10_000) {
    queue.push(new Uint8Array(Math.min(10_000, length - sent)));
  }
  assert.equal(queue.length, length);
  assert.equal(queue.held, length);
  queue.push(Uint8Array.of(1, 2));
  const taken = queue.take(length);
  assert.equal(taken.length, length);
  assert.equal(queue.held, 2);
  assert.deepEqual([...queue.take(2)], [1, 2]);
  assert.equal(queue.held, 0);
});
