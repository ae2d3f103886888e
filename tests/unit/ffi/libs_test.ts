import assert from "node:assert/strict";
import { libc } from "../../../ffi/c_symbols.ts";
import { loadEmbedded } from "../../../ffi/embedded.ts";
import { hasLibrary, openLibrary } from "../../../ffi/libs.ts";
import { libnl } from "../../../ffi/nl_symbols.ts";
import { interfaceIndex, notifyServiceManager } from "../../../ffi/process.ts";

libc(); // both once for the process
libnl();

/** Where the system has a library that this process has loaded. */
function loadedFrom(file: string): string {
  const line = Deno.readTextFileSync("/proc/self/maps").split("\n").find((l) => l.includes(`/${file}`));
  return line!.slice(line!.indexOf("/"));
}

Deno.test("openLibrary() opens the C library; hasLibrary() tells so", () => {
  const library = openLibrary("libc", { getpid: { parameters: [], result: "i32" } });
  assert.equal(library.symbols.getpid(), Deno.pid);
  library.close();
  assert.equal(hasLibrary("libc"), true);
});

Deno.test("loadEmbedded() makes a library of bytes that works", () => {
  const path = loadEmbedded("libnl-3.so.200", Deno.readFileSync(loadedFrom("libnl-3.so.200")));
  const library = Deno.dlopen(path, { nl_geterror: { parameters: ["i32"], result: "pointer" } });
  assert.match(new Deno.UnsafePointerView(library.symbols.nl_geterror(-5)!).getCString(), /memory/i);
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
