import assert from "node:assert/strict";
import { waitReadable } from "../../../ffi/poll.ts";
import { Program } from "../../../ffi/program.ts";

/** The C library stays open for the next one. */
const OPTIONS = { sanitizeResources: false };
const ENVIRONMENT = { PATH: "/usr/bin:/bin" };

Deno.test(
  "Program lets one that prints much wait until it is read, and keeps the last of it",
  OPTIONS,
  async () => {
    const words = ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo the end"];
    using program = Program.start({ words, environment: ENVIRONMENT, keep: 16 });
    await new Promise((resolve) => setTimeout(resolve, 300)); // by now the pipe is full
    while (program.listen()) waitReadable(program.output, 1_000);
    assert.ok(waitReadable(program.fd, 5_000));
    assert.deepEqual(program.ended(), { code: 0 });
    assert.equal(program.printed, "xxxxxxxxthe end\n");
  },
);

Deno.test("Program ends one that runs when it is disposed, and waits for it", OPTIONS, () => {
  Program.start({ words: ["sleep", "60"], environment: ENVIRONMENT, keep: 16 })[Symbol.dispose]();
  assert.deepEqual(children("sleep"), []);
});

/** States of this process's children that are called so. */
function children(name: string): readonly string[] {
  return [...Deno.readDirSync("/proc")].flatMap((entry) => {
    if (!/^[0-9]+$/.test(entry.name)) return [];
    try {
      const [head, tail] = Deno.readTextFileSync(`/proc/${entry.name}/stat`).split(") ");
      const [state, parent] = tail!.split(" ");
      return head!.endsWith(`(${name}`) && Number(parent) === Deno.pid ? [state!] : [];
    } catch {
      return []; // it has just gone
    }
  });
}
