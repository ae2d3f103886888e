/** Having the kernel load ciphers: whatever this kernel has, there is an answer. */
import assert from "node:assert/strict";
import { warmAead } from "../../../ffi/crypto_api.ts";
import { Wakeup } from "../../../ffi/poll.ts";

Wakeup.create()[Symbol.dispose](); // opens the C library, once for the process

Deno.test("warmAead() says why a cipher cannot be had", async () => {
  assert.match(await warmAead("no-such-cipher(aes)") ?? "", /AF_ALG|no-such-cipher/);
});
