import assert from "node:assert/strict";
import { Turns } from "../../../mod/daemon/addresses/turns.ts";

const stays = () => new AbortController().signal;
const ended = () => new Error("ended");

/** Work that waits until it is given up. */
function waits(gone: () => AbortSignal): Promise<never> {
  const signal = gone();
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

Deno.test("Turns: who gives back ends all who wait to take for the same holder, and waits for nobody", async () => {
  const turns = new Turns();
  const first = assert.rejects(turns.take("web", waits, { ended, gone: stays }), /ended/);
  const second = assert.rejects(turns.take("web", waits, { ended, gone: stays }), /ended/);
  const other = new AbortController();
  const elsewhere = assert.rejects(turns.take("db", waits, { ended, gone: () => other.signal }), /left/);
  assert.equal(await turns.giveBack("web", () => Promise.resolve("given")), "given");
  await Promise.all([first, second]);
  other.abort(new Error("left"));
  await elsewhere;
});

Deno.test("Turns: one after the other, whatever became of the one before", async () => {
  const turns = new Turns();
  const order: number[] = [];
  const work = (n: number) => async () => {
    await Promise.resolve();
    order.push(n);
    if (n === 1) throw new Error("one");
  };
  await Promise.allSettled([
    turns.take("web", work(1), { ended, gone: stays }),
    turns.take("web", work(2), { ended, gone: stays }),
    turns.giveBack("web", work(3)),
  ]);
  assert.deepEqual(order, [1, 2, 3]);
});
