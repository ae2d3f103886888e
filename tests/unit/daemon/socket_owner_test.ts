import assert from "node:assert/strict";
import { listenerAt, socketOwner } from "../../../mod/daemon/socket_owner.ts";

Deno.test("socketOwner() finds the process that listens", () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-owner-" });
  try {
    const path = `${folder}/control.sock`;
    assert.equal(socketOwner(path), undefined);
    {
      using _listener = Deno.listen({ transport: "unix", path });
      assert.equal(socketOwner(path), Deno.pid);
    }
    assert.equal(socketOwner(path), undefined);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("listenerAt() takes the listening socket, not one of its connections", () => {
  const table = "Num       RefCount Protocol Flags    Type St Inode Path\n" +
    "000000005afcc16e: 00000003 00000000 00000000 0001 03    17 /run/a b/control.sock\n" +
    "000000005afcc16f: 00000002 00000000 00010000 0001 01 317305 /run/a b/control.sock\n" +
    "0000000036eab5e8: 00000003 00000000 00000000 0001 03 315011\n";
  assert.equal(listenerAt("/run/a b/control.sock", table), "317305");
  assert.equal(listenerAt("/run/a", table), undefined);
});
