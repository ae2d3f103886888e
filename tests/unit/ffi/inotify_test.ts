import assert from "node:assert/strict";
import { FILE_EVENTS, Inotify } from "../../../ffi/inotify.ts";

{ // opens the C library, once for the process
  using first = new Inotify();
  first.take();
}

Deno.test("Inotify hears that a file was opened and closed, and that one was made", () => {
  const folder = Deno.makeTempDirSync();
  try {
    using inotify = new Inotify();
    const file = `${folder}/lock`;
    assert.equal(inotify.watch(file, FILE_EVENTS.closedUnwritten), false);
    assert.equal(inotify.watch(folder, FILE_EVENTS.created), true);
    assert.equal(inotify.take(), false);
    Deno.writeTextFileSync(file, "");
    assert.deepEqual([inotify.take(), inotify.take()], [true, false]);
    assert.equal(inotify.watch(file, FILE_EVENTS.closedUnwritten), true);
    Deno.openSync(file).close();
    assert.deepEqual([inotify.take(), inotify.take()], [true, false]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
