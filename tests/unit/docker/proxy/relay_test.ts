import assert from "node:assert/strict";
import { type ByteStream, relay } from "../../../../mod/docker/proxy/relay_shell.ts";

/** One end of a connection in memory; the other end is what it is made with. */
class Pipe {
  readonly #pieces: Uint8Array[] = [];
  #ended = false;
  #wake: () => void = () => {};

  push(piece: Uint8Array): void {
    this.#pieces.push(piece.slice());
    this.#wake();
  }
  end(): void {
    this.#ended = true;
    this.#wake();
  }
  async read(into: Uint8Array): Promise<number | null> {
    while (this.#pieces.length === 0) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const [piece] = this.#pieces;
    const part = piece!.subarray(0, into.length);
    into.set(part);
    if (part.length === piece!.length) this.#pieces.shift();
    else this.#pieces[0] = piece!.subarray(part.length);
    return part.length;
  }
}

/** A connection: `inner` is for relay(), `outer` for the test. */
function connection(): {
  readonly inner: ByteStream & { closed: boolean };
  readonly outer: { to: Pipe; from: Pipe };
} {
  const [to, from] = [new Pipe(), new Pipe()];
  const inner = {
    closed: false,
    read: (into: Uint8Array) => to.read(into),
    write(octets: Uint8Array) {
      if (inner.closed) return Promise.reject(new Error("it is closed"));
      from.push(octets.subarray(0, 1000)); // not all at once
      return Promise.resolve(Math.min(octets.length, 1000));
    },
    closeWrite() {
      from.end();
      return Promise.resolve();
    },
    close() {
      inner.closed = true;
      to.end();
      from.end();
    },
  };
  return { inner, outer: { to, from } };
}

async function readAll(from: Pipe): Promise<Uint8Array> {
  const parts: number[] = [];
  const buffer = new Uint8Array(100_000);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return Uint8Array.from(parts);
    for (const octet of buffer.subarray(0, count)) parts.push(octet);
  }
}

Deno.test("relay() carries both directions, and the end of each by itself", async () => {
  const [client, engine] = [connection(), connection()];
  const running = relay(client.inner, engine.inner, [Uint8Array.of(1, 2), Uint8Array.of(3)]);
  const much = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
  client.outer.to.push(much);
  client.outer.to.end(); // half of it is closed; the answer comes later
  const received = await readAll(engine.outer.from);
  assert.deepEqual(received.subarray(0, 3), Uint8Array.of(1, 2, 3));
  assert.deepEqual(received.subarray(3), much);
  assert.equal(client.inner.closed, false);
  engine.outer.to.push(much);
  engine.outer.to.end();
  assert.deepEqual(await readAll(client.outer.from), much);
  await running;
  assert.ok(client.inner.closed && engine.inner.closed);
});

Deno.test("relay() brings the answer to who is still sending, and ends when he has it", async () => {
  const [client, engine] = [connection(), connection()];
  const running = relay(client.inner, engine.inner, []);
  engine.outer.to.push(Uint8Array.of(9));
  engine.outer.to.end(); // a refusal, before the body has come
  assert.deepEqual(await readAll(client.outer.from), Uint8Array.of(9));
  client.outer.to.push(new Uint8Array(10));
  client.outer.to.end();
  await running;
  assert.ok(client.inner.closed && engine.inner.closed);
});

Deno.test("relay() tells a quiet engine that the client has broken off", async () => {
  const [client, engine] = [connection(), connection()];
  client.inner.read = () => Promise.reject(new Error("it was reset"));
  const running = relay(client.inner, engine.inner, []);
  assert.deepEqual(await readAll(engine.outer.from), new Uint8Array(0));
  engine.outer.to.end(); // as engines do then
  await running;
  assert.ok(client.inner.closed && engine.inner.closed);
});

Deno.test("relay() ends when the client can take no more", async () => {
  const [client, engine] = [connection(), connection()];
  const running = relay(client.inner, engine.inner, []);
  client.inner.closed = true; // writing fails from now on
  engine.outer.to.push(new Uint8Array(10));
  await running;
  assert.ok(engine.inner.closed);
});
