import assert from "node:assert/strict";
import type { Endpoint } from "../../../../mod/core/addr.ts";
import { Socket } from "../../../../mod/mesh/tcp/socket_shell.ts";
import type { Stream, StreamHandlers } from "../../../../mod/mesh/tcp/tcp_shell.ts";

const NOWHERE = { ip: "192.0.2.1", port: 6783 } as Endpoint;

/** A stream whose writes take until they are let go. */
class FakeStream implements Stream {
  readonly local = NOWHERE;
  readonly remote = NOWHERE;
  readonly writes: number[][] = [];
  closed = false;
  handlers: StreamHandlers | undefined;
  #done: (() => void)[] = [];

  start(handlers: StreamHandlers): void {
    this.handlers = handlers;
  }
  write(bytes: Uint8Array): Promise<void> {
    this.writes.push([...bytes]);
    return new Promise((resolve) => this.#done.push(resolve));
  }
  close(): void {
    this.closed = true;
  }
  /** The oldest write is done. */
  async letGo(): Promise<void> {
    this.#done.shift()!();
    await turn();
  }
}

/** Lets what has been promised happen. */
const turn = () => new Promise((resolve) => queueMicrotask(() => queueMicrotask(() => resolve(undefined))));

function trial(): { stream: FakeStream; socket: Socket; told: string[] } {
  const stream = new FakeStream();
  const told: string[] = [];
  const socket = new Socket(stream, {
    data: (bytes) => void told.push(`data ${bytes}`),
    written: (count) => void told.push(`written ${count}`),
    end: (reason) => void told.push(`end ${reason}`),
  });
  socket.start();
  return { stream, socket, told };
}

Deno.test("Socket.write() sends what one turn brings about in one piece, in order", async () => {
  const { stream, socket, told } = trial();
  socket.write(Uint8Array.of(1));
  socket.write(Uint8Array.of(2, 3));
  assert.deepEqual(stream.writes, []);
  await turn();
  assert.deepEqual(stream.writes, [[1, 2, 3]]);
  socket.write(Uint8Array.of(4));
  socket.write(Uint8Array.of(5));
  await stream.letGo();
  assert.deepEqual(stream.writes, [[1, 2, 3], [4, 5]]);
  await stream.letGo();
  assert.deepEqual(told, ["written 3", "written 2"]);
  socket.close();
});

Deno.test("Socket.finish() lets the last bytes out, and then closes without a word", async () => {
  const { stream, socket, told } = trial();
  socket.write(Uint8Array.of(1));
  socket.finish();
  socket.write(Uint8Array.of(2));
  stream.handlers!.data(Uint8Array.of(9));
  await turn();
  assert.deepEqual([stream.writes, stream.closed], [[[1]], false]);
  await stream.letGo();
  assert.deepEqual([stream.writes, stream.closed, told], [[[1]], true, []]);
});

Deno.test("Socket.finish() waits for nothing where nothing or too much waits", async () => {
  const idle = trial();
  idle.socket.finish();
  assert.equal(idle.stream.closed, true);
  const slow = trial();
  slow.socket.write(new Uint8Array(64));
  await turn();
  slow.socket.write(new Uint8Array(1 << 20));
  slow.socket.finish();
  assert.equal(slow.stream.closed, true);
  await slow.stream.letGo();
  assert.equal(slow.stream.writes.length, 1);
});

Deno.test("Socket tells of an end that it did not bring about, once", () => {
  const { stream, socket, told } = trial();
  stream.handlers!.end("the peer closed the connection");
  stream.handlers!.end("again");
  socket.write(Uint8Array.of(1));
  assert.deepEqual([told, stream.closed], [["end the peer closed the connection"], true]);
});
