/** Bytes from one connection to another and back, as they come, until the engine has said all. */

/** A connection of bytes, as Deno's are. */
export interface ByteStream {
  /** Reads some bytes; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes, and says how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Says that nothing more will be written. */
  closeWrite(): Promise<void>;
  close(): void;
}

/** Bytes read at once: few at first, more while they come thick. */
const READ_SIZE = { first: 4 * 1024, most: 256 * 1024 };
/** How long a client is waited for after the engine has said all, in milliseconds. Somebody who is still sending would not
 * get the answer if the connection broke under him. */
const LINGER_MS = 2_000;

/** Writes all of it. */
export async function writeAll(to: Pick<ByteStream, "write">, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** Carries bytes between client and engine until the engine has said all, or the client has gone, and closes both. `first`
 * is for the engine before anything else. Never throws. */
export async function relay(
  client: ByteStream,
  engine: ByteStream,
  first: readonly Uint8Array[],
): Promise<void> {
  const up = (async () => {
    try {
      for (const bytes of first) await writeAll(engine, bytes);
      await copy(client, engine);
      await engine.closeWrite();
    } catch { // the engine takes no more, or the client has broken off
      await drain(client);
      await engine.closeWrite().catch(() => {}); // whoever has gone wants no more
    }
  })();
  try {
    await copy(engine, client);
    await client.closeWrite();
    await soon(up);
  } catch { // the client has gone, or the engine has broken off
  } finally {
    closeQuietly(engine);
    closeQuietly(client);
    await up;
  }
}

/** Ends a connection after the last answer on it: whoever is still sending is heard for a while. Never throws. */
export async function finish(client: ByteStream, answer: Uint8Array): Promise<void> {
  try {
    await writeAll(client, answer);
    await client.closeWrite();
    await soon(drain(client));
  } catch { // it has gone
  } finally {
    closeQuietly(client);
  }
}

async function copy(from: ByteStream, to: ByteStream): Promise<void> {
  let buffer = new Uint8Array(READ_SIZE.first);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return;
    await writeAll(to, buffer.subarray(0, count));
    if (count === buffer.length && count < READ_SIZE.most) buffer = new Uint8Array(2 * count);
  }
}

async function drain(from: ByteStream): Promise<void> {
  const buffer = new Uint8Array(READ_SIZE.first);
  try {
    while (await from.read(buffer) !== null);
  } catch { /* it has gone */ }
}

/** Waits for work, but not for long. */
async function soon(work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, LINGER_MS));
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** Closes what may be closed already. */
export function closeQuietly(stream: Pick<ByteStream, "close">): void {
  try {
    stream.close();
  } catch { /* it is */ }
}
