/** What all parts of the programs have in common: functions of the kernel, places on the stack. */
import type { Assembler, Register } from "./assembler.ts";
import { COUNT, GROUP_KEY, KEY, type MapName, RATE } from "./layout.ts";

/** Functions of the kernel (enum bpf_func_id). */
export const HELPER = {
  lookup: 1,
  cloneRedirect: 13,
  vlanPush: 18,
  vlanPop: 19,
  getTunnelKey: 20,
  setTunnelKey: 21,
  redirect: 23,
  storeBytes: 9,
  changeHead: 43,
  now: 5,
  ringOutput: 130,
  checkMtu: 163,
} as const;
/** Places on the stack. The tunnel's begins between two words of 8 octets, so that both IPv6 addresses in it begin one. */
export const AT = {
  key: -KEY.size,
  tunnel: -KEY.size - 52,
  group: -KEY.size - 56 - GROUP_KEY.size,
  index: -KEY.size - 56 - GROUP_KEY.size - 8,
  mac: -KEY.size - 56 - GROUP_KEY.size - 16,
} as const;

/** r0 = the element, or 0. */
export function findElement(program: Assembler, map: MapName, key: number): Assembler {
  return program.map("r1", map).mov("r2", "r10").alu("add", "r2", key).call(HELPER.lookup);
}

/** Fields of struct __sk_buff. */
export const SKB = {
  length: 0,
  vlanPresent: 20,
  vlanTci: 24,
  vlanProtocol: 28,
  ifindex: 40,
  data: 76,
  end: 80,
} as const;

/** One more of what happens; `where` tells apart two parts of a program that count the same. */
export function countFrame(program: Assembler, what: keyof typeof COUNT, where = ""): void {
  program.store(4, "r10", AT.index, COUNT[what]);
  findElement(program, "counts", AT.index);
  const label = `counted ${what}${where}`;
  program.jumpIf("r0", "eq", 0, label).load(8, "r1", "r0", 0).alu("add", "r1", 1).store(8, "r0", 0, "r1")
    .label(
      label,
    );
}

/** Counts in a rate, `rate` its element: goes to `over` when its limit is reached in this stretch. */
export function countInRate(program: Assembler, rate: Register, stretch: number, over: string): void {
  const label = `stretch ${over}`;
  program.alu("rsh", "r0", stretch).load(8, "r1", rate, RATE.stretch)
    .jumpIf("r1", "eq", "r0", label)
    .store(8, rate, RATE.stretch, "r0").store(4, rate, RATE.count, 0)
    .label(label)
    .load(4, "r1", rate, RATE.count).load(4, "r2", rate, RATE.limit)
    .jumpIf("r1", "ge", "r2", over)
    .mov("r1", 1).atomicAdd(4, rate, RATE.count, "r1");
}
