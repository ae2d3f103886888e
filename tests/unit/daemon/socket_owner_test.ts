import assert from "node:assert/strict";
import { listeningSockets, ownerOf, socketOwner } from "../../../mod/daemon/host/socket_owner.ts";

Deno.test("socketOwner() finds the process that listens", () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-owner-" });
  try {
    const path = `${folder}/control.sock`;
    assert.equal(socketOwner(path), undefined);
    {
      using _listener = Deno.listen({ transport: "unix", path });
      assert.equal(socketOwner(path), Deno.pid);
      Deno.renameSync(path, `${folder}/renamed.sock`);
      assert.equal(socketOwner(`${folder}/other.sock`, path), Deno.pid); // listed by its first name
    }
    assert.equal(socketOwner(path), undefined);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("ownerOf() tells who made an abstract socket", () => {
  const name = `test-${crypto.randomUUID()}`;
  using _listener = Deno.listen({ transport: "unix", path: `\0${name}` });
  const socket = listeningSockets().find((one) => one.name === `@${name}`);
  assert.ok(socket !== undefined);
  assert.deepEqual(ownerOf(socket), { pid: Deno.pid, uid: Deno.uid() });
  assert.equal(ownerOf({ inode: "0" }), undefined);
});

Deno.test("listeningSockets() takes the listening socket, not one of its connections", () => {
  const table = "Num       RefCount Protocol Flags    Type St Inode Path\n" +
    "000000005afcc16e: 00000003 00000000 00000000 0001 03    17 /run/a b/control.sock\n" +
    "000000005afcc16f: 00000002 00000000 00010000 0001 01 317305 /run/a b/control.sock\n" +
    "000000005afcc170: 00000002 00000000 00010000 0001 01 317306 @meshnet/meshnet\n" +
    "0000000036eab5e8: 00000003 00000000 00000000 0001 03 315011\n";
  assert.deepEqual(listeningSockets(table), [
    { name: "/run/a b/control.sock", inode: "317305" },
    { name: "@meshnet/meshnet", inode: "317306" },
  ]);
});
