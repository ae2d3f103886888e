import assert from "node:assert/strict";
import { serveAtFile } from "../../../mod/control/served_socket.ts";

/** Longer than the look that follows each change of the folder: then nothing but the watch tells. */
const QUIET_MS = 1_000;

const quiet = () => new Promise((resolve) => setTimeout(resolve, QUIET_MS));

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !holds();) {
    if (performance.now() > end) throw new Error(`It did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

Deno.test("serveAtFile() makes sockets of one folder again, however often they or the folder are removed", async () => {
  const above = Deno.makeTempDirSync();
  const folder = `${above}/run`;
  Deno.mkdirSync(folder);
  const said: string[] = [];
  const logger = {
    ...{ debug() {}, info() {}, error: (event: string) => void said.push(event) },
    warn: (_: string, fields: Record<string, unknown> = {}) => void said.push(String(fields["socket"])),
  };
  const served = ["one", "two"].map((what) => {
    const open = new Set<Deno.Listener>();
    const server = {
      serve: (listener: Deno.Listener) => void open.add(listener),
      stopListening(...listeners: readonly Deno.Listener[]) {
        for (const one of listeners.length === 0 ? open : listeners) one.close();
        for (const one of listeners) open.delete(one);
      },
    };
    return serveAtFile(server, `${folder}/${what}.sock`, { logger, what });
  });
  const paths = ["one", "two"].map((what) => `${folder}/${what}.sock`);
  const all = () => paths.every(isSocket);
  try {
    assert.ok(all());
    for (
      const [removed, what] of [
        [paths[1]!, ["two"]],
        ...[[folder, ["one", "two"]], [folder, ["one", "two"]]] as const,
        [paths[0]!, ["one"]],
      ] as const
    ) {
      await quiet();
      said.length = 0;
      Deno.removeSync(removed, { recursive: true });
      assert.ok(!all());
      await until(`the sockets are there again after ${removed} was removed`, all);
      assert.deepEqual(said.toSorted(), what);
    }
  } finally {
    for (const one of served) one.stopListening();
  }
  assert.deepEqual([...Deno.readDirSync(folder)], []);
  Deno.removeSync(above, { recursive: true });
});
