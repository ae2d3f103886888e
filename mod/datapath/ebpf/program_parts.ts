/** What all parts of the programs have in common: functions of the kernel, places on the stack. */
import type { Assembler } from "./assembler.ts";
import { GROUP_KEY, KEY, type MapName } from "./layout.ts";

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
  checkMtu: 163,
} as const;
/** Places on the stack. The tunnel's begins between two words of 8 octets, so that both IPv6 addresses in it begin one. */
export const AT = {
  key: -KEY.size,
  tunnel: -KEY.size - 52,
  group: -KEY.size - 56 - GROUP_KEY.size,
  index: -KEY.size - 56 - GROUP_KEY.size - 8,
} as const;

/** r0 = the element, or 0. */
export function findElement(program: Assembler, map: MapName, key: number): Assembler {
  return program.map("r1", map).mov("r2", "r10").alu("add", "r2", key).call(HELPER.lookup);
}
