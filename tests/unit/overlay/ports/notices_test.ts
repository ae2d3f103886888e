import assert from "node:assert/strict";
import { ERRNO } from "../../../../mod/core/errno.ts";
import { MeshnetError } from "../../../../mod/core/errors.ts";
import { takeNotices } from "../../../../mod/overlay/ports/notices.ts";

function socketOf(steps: readonly (number | Error)[]) {
  let at = 0;
  return {
    receive() {
      const step = steps[at++];
      if (step instanceof Error) throw step;
      return step === undefined ? undefined : Uint8Array.of(step);
    },
  };
}

const failure = (errno: number) => new MeshnetError("native/call-failed", "Cannot receive", { errno });

Deno.test("takeNotices() hands over what came, and says when news were lost", () => {
  const seen: number[] = [];
  const take = (notice: Uint8Array) => void seen.push(notice[0]!);
  assert.equal(takeNotices(socketOf([1, 2]), take), true);
  assert.equal(takeNotices(socketOf([3, failure(ERRNO.ENOBUFS), 4]), take), false);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.throws(() => takeNotices(socketOf([failure(ERRNO.EBADF)]), take), { errno: ERRNO.EBADF });
});

Deno.test("takeNotices() takes a bounded part of a storm", () => {
  let seen = 0;
  assert.equal(takeNotices({ receive: () => Uint8Array.of(0) }, () => void seen++), true);
  assert.equal(seen, 256);
});
