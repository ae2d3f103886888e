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
    assert.ok(waitReadable(program.fd, 60_000));
    assert.deepEqual(program.ended(), { code: 0 });
    assert.equal(program.printed, "xxxxxxxxthe end\n");
  },
);

Deno.test("Program ends one that runs when it is disposed, and waits for it", OPTIONS, () => {
  const start = (...words: string[]) => Program.start({ words, environment: ENVIRONMENT, keep: 16 });
  const program = start("sleep", "600");
  const pid = /^Pid:\s+([0-9]+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${program.fd}`))![1]!;
  assert.ok(isChild(pid));
  program[Symbol.dispose]();
  // On a busy machine it may take longer to end than anybody waits. Then it is waited for with the next one.
  for (const end = performance.now() + 60_000; isChild(pid);) {
    assert.ok(performance.now() < end);
    start("true")[Symbol.dispose]();
  }
});

/** Whether this process has such a child, be it one that has ended and nobody has waited for. */
function isChild(pid: string): boolean {
  try {
    const [, parent] = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
    return Number(parent) === Deno.pid;
  } catch {
    return false; // there is no such process
  }
}
