import assert from "node:assert/strict";
import { Assembler } from "../../../../mod/datapath/ebpf/assembler.ts";
import { assemblePrograms, PROGRAMS } from "../../../../mod/datapath/ebpf/programs.ts";

/** The right octets, by the kernel's instruction set (Documentation/bpf/standardization). */
const ENCODINGS: readonly (readonly [string, (program: Assembler) => Assembler, string])[] = [
  ["r0 = 1", (p) => p.mov("r0", 1), "b700000001000000"],
  ["r6 = r1", (p) => p.mov("r6", "r1"), "bf16000000000000"],
  ["r2 += -48", (p) => p.alu("add", "r2", -48), "07020000d0ffffff"],
  ["r1 |= r2", (p) => p.alu("or", "r1", "r2"), "4f21000000000000"],
  ["r1 <<= 31", (p) => p.alu("lsh", "r1", 31), "670100001f000000"],
  ["r1 >>= 5", (p) => p.alu("rsh", "r1", 5), "7701000005000000"],
  ["r1 &= 31", (p) => p.alu("and", "r1", 31), "570100001f000000"],
  ["r1 *= 20", (p) => p.alu("mul", "r1", 20), "2701000014000000"],
  ["r1 -= r8", (p) => p.alu("sub", "r1", "r8"), "1f81000000000000"],
  ["r1 = *(u32 *)(r6 + 76)", (p) => p.load(4, "r1", "r6", 76), "61614c0000000000"],
  ["r1 = *(u64 *)(r7 + 8)", (p) => p.load(8, "r1", "r7", 8), "7971080000000000"],
  ["r1 = *(u16 *)(r2 + 12)", (p) => p.load(2, "r1", "r2", 12), "69210c0000000000"],
  ["r1 = *(u8 *)(r2 + 0)", (p) => p.load(1, "r1", "r2", 0), "7121000000000000"],
  ["*(u32 *)(r10 - 4) = r1", (p) => p.store(4, "r10", -4, "r1"), "631afcff00000000"],
  ["*(u64 *)(r10 - 8) = 0", (p) => p.store(8, "r10", -8, 0), "7a0af8ff00000000"],
  ["*(u8 *)(r10 - 59) = 64", (p) => p.store(1, "r10", -59, 64), "720ac5ff40000000"],
  ["lock *(u64 *)(r7 + 8) += r1", (p) => p.atomicAdd(8, "r7", 8, "r1"), "db17080000000000"],
  ["lock *(u32 *)(r0 + 0) += r1", (p) => p.atomicAdd(4, "r0", 0, "r1"), "c310000000000000"],
  ["call 23", (p) => p.call(23), "8500000017000000"],
  ["exit", (p) => p.exit(), "9500000000000000"],
];

for (const [text, write, octets] of ENCODINGS) {
  Deno.test(`assembler: ${text}`, () => {
    const { code, maps } = write(new Assembler()).assemble();
    assert.deepEqual([hex(code), maps], [octets, []]);
  });
}

Deno.test("assembler: jumps count the instructions between them and their label, a map's name as two", () => {
  const program = new Assembler().label("again").jumpIf("r1", "eq", 0, "end").map("r1", "flows")
    .jumpIf("r1", "lt", "r8", "again").jump("end").label("end").exit();
  const { code, maps } = program.assemble();
  assert.deepEqual(hex(code).match(/.{16}/g), [
    "1501040000000000",
    "1811000000000000",
    "0000000000000000",
    "ad81fcff00000000",
    "0500000000000000",
    "9500000000000000",
  ]);
  assert.deepEqual(maps, [{ instruction: 1, map: "flows" }]);
});

Deno.test("assembler: a label that is missing, or there twice, is refused", () => {
  assert.throws(() => new Assembler().jump("nowhere").assemble(), /nowhere/);
  assert.throws(() => new Assembler().label("twice").label("twice"), /twice/);
});

Deno.test("the programs are short, and the same each time", () => {
  const [one, two] = [assemblePrograms(), assemblePrograms()];
  for (const name of PROGRAMS) {
    assert.deepEqual(one[name], two[name]);
    assert.ok(one[name].code.length / 8 < 512, `${name}: ${one[name].code.length / 8} instructions`);
  }
});

function hex(octets: Uint8Array): string {
  return [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}
