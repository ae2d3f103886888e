import assert from "node:assert/strict";
import { claimNamespace } from "../../../mod/daemon/host/claim_namespace.ts";

const STRANGER = { pid: 4711, uid: 65534 };

Deno.test("claimNamespace() lets one router in, until it ends", () => {
  const datapath = `test-${crypto.randomUUID()}`;
  {
    using first = claimNamespace(datapath);
    assert.equal(first.squatter, undefined);
    assert.throws(() => claimNamespace(datapath), {
      code: "up/already-running",
      message: `Another router (process ${Deno.pid}) works in this network namespace already`,
    });
  }
  claimNamespace(datapath)[Symbol.dispose]();
});

Deno.test("claimNamespace() lets nobody but root and its own user keep it out", () => {
  const datapath = `test-${crypto.randomUUID()}`;
  using _squatter = Deno.listen({ transport: "unix", path: `\0meshnet/${datapath}` });
  const own = { pid: 4712, uid: Deno.uid() };
  const cases = [
    [STRANGER, true],
    [{ pid: 1, uid: 0 }, false],
    [own, false],
    [undefined, false], // nobody can be seen: it may be a router in a container
  ] as const;
  for (const [owner, enters] of cases) {
    const enter = () => claimNamespace(datapath, () => owner)[Symbol.dispose]();
    if (enters) enter();
    else assert.throws(enter, { code: "up/already-running" });
  }
});

Deno.test("claimNamespace() lets one router in although its name is taken, whichever came first", () => {
  const datapath = `test-${crypto.randomUUID()}`;
  const isBase = ({ name }: { name: string }) => name === `@meshnet/${datapath}`;
  const owner = (socket: { name: string }) => isBase(socket) ? STRANGER : { pid: Deno.pid, uid: Deno.uid() };
  const squatter = Deno.listen({ transport: "unix", path: `\0meshnet/${datapath}` });
  using first = claimNamespace(datapath, owner);
  assert.deepEqual(first.squatter, STRANGER);
  assert.throws(() => claimNamespace(datapath, owner), { code: "up/already-running" });
  squatter.close(); // the name is free again, the namespace is not
  assert.throws(() => claimNamespace(datapath, owner), { code: "up/already-running" });
  first[Symbol.dispose]();
  claimNamespace(datapath, owner)[Symbol.dispose]();
});
