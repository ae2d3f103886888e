import assert from "node:assert/strict";
import { cleanFileRanges, releaseMemory } from "../../../ffi/memory.ts";

function mapping(head: string, fields: Readonly<Record<string, number>> = {}): string {
  const all = { Size: 8, Rss: 8, Private_Dirty: 0, Anonymous: 0, Swap: 0, Locked: 0, ...fields };
  return `${head}\n${
    Object.entries(all).map(([key, kib]) => `${key}: ${kib} kB\n`).join("")
  }VmFlags: rd ex mr\n`;
}

Deno.test("cleanFileRanges() takes unwritten private mappings of files only", () => {
  const smaps = [
    mapping("55f000-560000 r-xp 00001000 08:01 123   /usr/bin/deno"),
    mapping("560000-561000 r--p 00002000 08:01 123   /usr/bin/deno"),
    mapping("561000-562000 r--p 00003000 08:01 123   /usr/bin/deno", { Anonymous: 4, Private_Dirty: 4 }),
    mapping("562000-563000 rw-p 00004000 08:01 123   /usr/bin/deno"),
    mapping("563000-564000 r--s 00000000 08:01 124   /tmp/cache"),
    mapping("564000-565000 r-xp 00000000 00:00 0     [vdso]"),
    mapping("565000-566000 rwxp 00000000 00:00 0 "),
    mapping("566000-567000 r--p 00000000 08:01 123   /usr/bin/deno", { Swap: 4 }),
    mapping("567000-568000 r-xp 00000000 08:01 123   /usr/bin/deno", { Locked: 4 }),
    mapping("7fffff000000-7fffff001000 r-xp 00001000 08:01 9   /lib/libc.so.6 (deleted)"),
  ].join("");
  assert.deepEqual(cleanFileRanges(smaps).map(({ start }) => start.toString(16)), [
    "55f000",
    "560000",
    "7fffff000000",
  ]);
  assert.deepEqual(cleanFileRanges(""), []);
});

Deno.test("releaseMemory() leaves a process that goes on", () => {
  releaseMemory();
  assert.equal([3, 1, 2].sort().join(), "1,2,3");
  assert.match(Deno.readTextFileSync("/proc/self/status"), /VmRSS/);
});
