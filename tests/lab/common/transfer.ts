/** Many bytes over TCP from one namespace to another, their digests compared. */
import { createHash } from "node:crypto";
import type { Container } from "./container.ts";
import { exec, until } from "./process.ts";

const PORT = 7007;
const BLOCK = 1 << 20;
/** Ends a transfer that hangs. */
const LIMIT_MS = 170_000;

/** How a transfer went. */
export interface Transfer {
  readonly bytes: number;
  readonly gbitPerSecond: number;
}

/** Sends so many MiB and throws unless the same bytes arrive. */
export async function transfer(
  from: Container,
  to: Container,
  { megabytes, address = to.address }: { readonly megabytes: number; readonly address?: string },
): Promise<Transfer> {
  const self = [
    Deno.execPath(),
    "run",
    "-A",
    "-q",
    "--no-config",
    "--no-lock",
    new URL(import.meta.url).pathname,
  ];
  await using receiver = to.background(...self, "receive");
  await until("the receiver listens", () => receiver.output().includes("listening"));
  const send = [...self, "send", address, String(megabytes)];
  const sent = JSON.parse(await exec(send, { netns: from.netns, timeoutMs: LIMIT_MS }));
  await receiver.ended();
  const got = JSON.parse(receiver.output().split("\n")[1]!);
  if (sent.digest !== got.digest) {
    throw new Error(`${sent.bytes} bytes were sent, ${got.bytes} arrived, and they differ`);
  }
  return { bytes: got.bytes, gbitPerSecond: got.bytes * 8 / sent.seconds / 1e9 };
}

async function receiveHere(): Promise<void> {
  const listener = Deno.listen({ hostname: "::", port: PORT });
  console.log("listening");
  const connection = await listener.accept();
  const [hash, buffer] = [createHash("sha256"), new Uint8Array(BLOCK)];
  let bytes = 0;
  for (let read = await connection.read(buffer); read !== null; read = await connection.read(buffer)) {
    hash.update(buffer.subarray(0, read));
    bytes += read;
  }
  await connection.closeWrite(); // tells the sender that all has been read
  console.log(JSON.stringify({ bytes, digest: hash.digest("hex") }));
}

async function sendHere(address: string, megabytes: number): Promise<void> {
  const connection = await Deno.connect({ hostname: address, port: PORT });
  const [hash, block] = [createHash("sha256"), new Uint8Array(BLOCK)];
  for (let at = 0; at < BLOCK; at += 65_536) crypto.getRandomValues(block.subarray(at, at + 65_536));
  const started = performance.now();
  for (let i = 0; i < megabytes; i++) {
    new DataView(block.buffer).setUint32(i % 250_000 * 4, i); // no two blocks are alike
    hash.update(block);
    for (let at = 0; at < BLOCK;) at += await connection.write(block.subarray(at));
  }
  await connection.closeWrite();
  await connection.read(new Uint8Array(1));
  const seconds = (performance.now() - started) / 1000;
  console.log(JSON.stringify({ bytes: megabytes * BLOCK, digest: hash.digest("hex"), seconds }));
}

/** Whether the arguments of a program ask for one end of a transfer. */
export function isTransfer(argv: readonly string[]): boolean {
  return argv[0] === "receive" || argv[0] === "send";
}

/** One end of a transfer: what the arguments say. */
export async function transferHere([what, address, megabytes]: readonly string[]): Promise<void> {
  await (what === "receive" ? receiveHere() : sendHere(address!, Number(megabytes)));
}

if (import.meta.main && isTransfer(Deno.args)) { // in a bundle this is the main program, too
  await transferHere(Deno.args);
  Deno.exit(0);
}
