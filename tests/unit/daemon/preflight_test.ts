import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import {
  checkCapabilities,
  checkNoOtherRouter,
  checkPortFree,
  checkUdpPortFree,
  claimNamespace,
} from "../../../mod/daemon/preflight.ts";

const LOOPBACK = "127.0.0.1" as Ip;

Deno.test("checkCapabilities() names what is missing", () => {
  const status = (bits: string) =>
    `Name:\tmeshnet\nCapPrm:\t000001ffffffffff\nCapEff:\t${bits}\nSeccomp:\t0\n`;
  checkCapabilities(status("000001ffffffffff"));
  checkCapabilities(status("0000000000203000"));
  const cases: [status: string, message: RegExp][] = [
    [status("0000000000000000"), /CAP_NET_ADMIN .*CAP_NET_RAW .*CAP_SYS_ADMIN/],
    [status("0000000000003000"), /without CAP_SYS_ADMIN \(to enter/],
    [status("00000000a80425fb"), /without CAP_NET_ADMIN .*CAP_SYS_ADMIN/], // a Docker container's usual set
    ["", /no CapEff/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => checkCapabilities(text), (thrown) => {
      assert.ok(thrown instanceof MeshnetError && thrown.hint !== undefined);
      assert.equal(thrown.code, "up/not-permitted");
      assert.match(thrown.message, message);
      return true;
    });
  }
});

Deno.test("claimNamespace() lets one router in, until it ends", () => {
  const datapath = `test-${crypto.randomUUID()}`;
  {
    using _first = claimNamespace(datapath);
    assert.throws(() => claimNamespace(datapath), { code: "up/already-running", message: /another router/ });
  }
  claimNamespace(datapath)[Symbol.dispose]();
});

Deno.test("checkPortFree() leaves a free port free, and refuses a taken one", () => {
  const listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const { port } = listener.addr;
  for (const host of [LOOPBACK, undefined]) {
    assert.throws(() => checkPortFree(port, host), {
      code: "up/port-taken",
      message: /another program uses it/,
    });
  }
  listener.close();
  checkPortFree(port, LOOPBACK);
  checkPortFree(port, LOOPBACK);
});

Deno.test("checkUdpPortFree() closes what it opened, and says which port is taken", () => {
  let open = 0;
  const socket = { [Symbol.dispose]: () => void open-- };
  checkUdpPortFree({ host: undefined, port: 6783, openUdp: () => (open++, socket) });
  assert.equal(open, 0);
  const cases = [
    [ERRNO.EADDRINUSE, undefined, /^Cannot use UDP port 6783: another program uses it$/],
    [ERRNO.EADDRINUSE, LOOPBACK, /^Cannot use UDP 127\.0\.0\.1 port 6783: another program uses it$/],
    [ERRNO.EPERM, undefined, /^Cannot use UDP port 6783: the kernel said no$/],
  ] as const;
  for (const [errno, host, message] of cases) {
    const openUdp = () => {
      throw new MeshnetError("native/call-failed", "the kernel said no", { errno });
    };
    assert.throws(() => checkUdpPortFree({ host, port: 6783, openUdp }), {
      code: "up/port-taken",
      hint: /ss -lunp .*6783/,
      message,
    });
  }
});

Deno.test("checkPortFree() refuses an address of another host", () => {
  const elsewhere = "192.0.2.1" as Ip; // reserved for documentation
  assert.throws(() => checkPortFree(6783, elsewhere), {
    code: "usage/bad-option",
    message: /does not have that address/,
  });
});

Deno.test("checkNoOtherRouter() tells a router from what a killed one left", async () => {
  const runDir = Deno.makeTempDirSync({ prefix: "meshnet-run-" });
  try {
    await checkNoOtherRouter(runDir);
    await checkNoOtherRouter(`${runDir}/none`);
    const path = `${runDir}/control.sock`;
    const listener = Deno.listen({ transport: "unix", path });
    await assert.rejects(checkNoOtherRouter(runDir), {
      code: "up/already-running",
      message: new RegExp(path),
    });
    listener.close();
    await checkNoOtherRouter(runDir); // the file is still there
  } finally {
    Deno.removeSync(runDir, { recursive: true });
  }
});
