/** Opens connections to HOST PORT without end, says one byte on each, and keeps those that are not closed: run by itself. */
const [hostname = "", port = ""] = Deno.args;
const MAX_OPEN = 2_000;
let open = 0;

async function call(): Promise<void> {
  try {
    const conn = await Deno.connect({ hostname, port: Number(port) });
    open++;
    try {
      await conn.write(Uint8Array.of(0x77));
      while (await conn.read(new Uint8Array(64)) !== null); // until it is thrown out
    } finally {
      open--;
      conn.close();
    }
  } catch { /* refused or thrown out: the next one is under way */ }
}

for (;;) { // about 1,000 a second: whoever takes in all would be full at once, and the rest of the machine can work
  for (let i = 0; i < 5 && open < MAX_OPEN; i++) void call();
  await new Promise((resolve) => setTimeout(resolve, 5));
}
