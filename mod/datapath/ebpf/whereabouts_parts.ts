/** The part of the programs that carries frames between two known addresses before they have a flow. */
import type { Assembler, Register } from "./assembler.ts";
import { FIRST_PEER_PLACE } from "../../overlay/ports/switched_types.ts";
import { KEY, NEWS, NEWS_RATE, STRETCH } from "./layout.ts";
import { AT, countFrame, countInRate, findElement, HELPER, SKB } from "./program_parts.ts";

/** Where the key has the MACs. */
const DESTINATION = AT.key + KEY.macs;
const SOURCE = DESTINATION + 6;

/** A frame whose key is whole, and that has no flow: its origin must be the place of its source, and its destination at
 * another place to which there is a way. Then goes to "act" with r7 = the way, and tells user space, which makes the flow.
 * Falls through where something of it is not known. */
export function carryKnown(program: Assembler): void {
  findElement(program, "origins", AT.key);
  program.jumpIf("r0", "eq", 0, "unknown").load(4, "r8", "r0", 0);
  placeOf(program, SOURCE, "r9");
  program.jumpIf("r9", "ne", "r8", "unknown");
  placeOf(program, DESTINATION, "r9");
  program.jumpIf("r9", "eq", "r8", "unknown")
    .jumpIf("r8", "lt", FIRST_PEER_PLACE, "of this host")
    .jumpIf("r9", "ge", FIRST_PEER_PLACE, "unknown")
    .label("of this host").store(4, "r10", AT.index, "r9");
  findElement(program, "ways", AT.index);
  program.jumpIf("r0", "eq", 0, "unknown").mov("r7", "r0");
  tell(program);
  countFrame(program, "hits", " without flow");
  program.mov("r8", 1).mov("r9", 0).jump("act").label("unknown");
}

/** The place of the address that the key has at `at`; goes to "unknown" where there is none. */
function placeOf(program: Assembler, at: number, to: Register): void {
  for (const octet of [0, 2, 4]) {
    program.load(2, "r1", "r10", at + octet).store(2, "r10", AT.mac + octet, "r1");
  }
  program.store(2, "r10", AT.mac + 6, 0);
  findElement(program, "places", AT.mac);
  program.jumpIf("r0", "eq", 0, "unknown").load(4, to, "r0", 0);
}

/** Tells user space, if the port has not told too much. Where nobody listens, the ring is full, and nothing is told. */
function tell(program: Assembler): void {
  program.load(4, "r1", "r6", SKB.ifindex).alu("or", "r1", NEWS_RATE.bit).store(4, "r10", AT.index, "r1");
  findElement(program, "rates", AT.index);
  program.jumpIf("r0", "eq", 0, "told").mov("r9", "r0").call(HELPER.now);
  countInRate(program, "r9", STRETCH.misses, "told");
  program.load(4, "r1", "r6", SKB.length).store(4, "r10", AT.key + NEWS.bytes, "r1")
    .map("r1", "news").mov("r2", "r10").alu("add", "r2", AT.key).mov("r3", NEWS.size).mov("r4", 0)
    .call(HELPER.ringOutput)
    .label("told");
}
