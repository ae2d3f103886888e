import assert from "node:assert/strict";
import { libc } from "../../../ffi/c_symbols.ts";
import { openLibrary } from "../../../ffi/libs.ts";
import { interfaceIndex, notifyServiceManager } from "../../../ffi/process.ts";

libc(); // once for the process

Deno.test("openLibrary() opens the C library", () => {
  const library = openLibrary("libc", { getpid: { parameters: [], result: "i32" } });
  assert.equal(library.symbols.getpid(), Deno.pid);
  library.close();
});

Deno.test("interfaceIndex() knows the loopback interface", () => {
  assert.ok(interfaceIndex("lo") > 0);
  assert.equal(interfaceIndex("no-such-if"), 0);
});

Deno.test("notifyServiceManager() says who does not listen", () => {
  assert.throws(() => notifyServiceManager("/run/no-such-socket", "READY=1"), {
    code: "native/call-failed",
    message: /^Cannot notify service manager at \/run\/no-such-socket: /,
  });
});
