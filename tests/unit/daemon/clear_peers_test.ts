/** Which flows of an earlier run may go on: none in clear that this run would encrypt. */
import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import type { Logger, Store } from "../../../mod/core/ports.ts";
import { comparePeers } from "../../../mod/daemon/threads/clear_peers.ts";

interface Host {
  full: boolean;
  warnings: number;
  run(password: string | undefined, ...trusted: string[]): boolean;
  /** A run that ends before its data plane has started. */
  fail(password: string | undefined): boolean;
}

function host(): Host {
  let record: string | undefined;
  const store = {
    get: () => record,
    put(_key: string, value: string) {
      if (made.full) throw new Error("No space left on device");
      record = value;
    },
  } as unknown as Store;
  const log = { warn: () => void made.warnings++ } as unknown as Logger;
  const start = (secret: string | undefined, trusted: readonly string[]) => {
    const password = secret === undefined ? undefined : new TextEncoder().encode(secret);
    return comparePeers({ password, trustedSubnets: trusted.map((text) => parseCidr(text)!) }, {
      store,
      log,
    });
  };
  const made: Host = {
    full: false,
    warnings: 0,
    run(password, ...trusted) {
      const { distrusts, settled } = start(password, trusted);
      settled();
      return distrusts;
    },
    fail: (password) => start(password, []).distrusts,
  };
  return made;
}

Deno.test("comparePeers() distrusts flows of a run without a password, once", () => {
  const one = host();
  assert.deepEqual([one.run(undefined), one.run("secret"), one.run("secret")], [false, true, false]);
  assert.deepEqual([one.run(undefined), one.run(undefined), one.run("secret")], [false, false, true]);
});

Deno.test("comparePeers() distrusts flows of which nothing is known", () => {
  assert.equal(host().run("secret"), true);
});

Deno.test("comparePeers() distrusts flows to networks that are no longer trusted, whatever their order", () => {
  const one = host();
  one.run("secret", "10.1.0.0/16", "10.2.0.0/16");
  assert.equal(one.run("secret", "10.2.0.0/16", "10.1.0.0/16"), false);
  assert.equal(one.run("secret", "10.2.0.0/16", "10.1.0.0/16", "10.3.0.0/16"), false);
  assert.equal(one.run("secret", "10.1.0.0/16"), true);
});

Deno.test("comparePeers() knows of a run that ended early", () => {
  const one = host();
  one.run("secret");
  one.fail(undefined);
  assert.deepEqual([one.fail("secret"), one.fail("secret"), one.run("secret"), one.run("secret")], [
    ...[true, true, true],
    false,
  ]);
});

Deno.test("comparePeers() goes on when nothing can be remembered, and distrusts again", () => {
  const one = host();
  one.run(undefined);
  one.full = true;
  assert.deepEqual([one.run("secret"), one.run("secret"), one.warnings], [true, true, 2]);
});
