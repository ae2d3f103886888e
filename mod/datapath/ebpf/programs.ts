/** The programs that switch frames, for the hooks through which frames come in. All end in the same part:
 *
 *     key of the frame -> flow? -> its outputs, one after the other; copies for all but the last
 *                       `-> none: a header in front, and up to user space through the TAP
 */
import { type AssembledProgram, Assembler } from "./assembler.ts";
import {
  ACTION,
  CHUNK,
  CONFIG,
  CONFIG_AT,
  FLOW,
  GROUP,
  GROUP_KEY,
  KEY,
  MAX_OUTPUTS,
  MISS,
  MISS_TCI,
  OUTER6,
  OUTPUT,
  SLOT_SHIFT,
  STRETCH,
  WAITING_MISSES,
} from "./layout.ts";
import { AT, countFrame, countInRate, findElement, HELPER, SKB } from "./program_parts.ts";
import { carryKnown } from "./whereabouts_parts.ts";
import { setTunnel, setTunnel6, TUNNEL, tunnelInKey, tunnelInKey6 } from "./tunnel_parts.ts";

const INGRESS = 1; // BPF_F_INGRESS
const PASS = 0; // TC_ACT_OK
const DROP = 2; // TC_ACT_SHOT
const NO_DEVICE = -19; // -ENODEV
/** EtherTypes as they lie in memory. */
const DOT1Q = 0x0081;
/** The tag of frames that user space sends: 802.1ad, where links' frames have 802.1Q. */
const DOT1AD = 0xa888;

/** Names of the programs: for frames of local ports, of tunnels, and of user space. */
export const PROGRAMS = ["local", "tunnel", "user"] as const;
/** Name of a program. */
export type ProgramName = typeof PROGRAMS[number];

/** All programs. */
export function assemblePrograms(): Readonly<Record<ProgramName, AssembledProgram>> {
  return { local: fromLocal(), tunnel: fromTunnel(), user: fromUser() };
}

/** Frames of containers and of the host's own leg. */
function fromLocal(): AssembledProgram {
  const program = begin();
  ifindexAndTag(program);
  program.store(4, "r10", AT.key + KEY.source, 0).store(4, "r10", AT.key + KEY.destination, 0);
  macs(program);
  lookUpFlow(program);
  macs(program);
  carryKnown(program);
  miss(program, { credit: true });
  outputs(program);
  return program.assemble();
}

/** Frames that came through a tunnel. */
function fromTunnel(): AssembledProgram {
  const program = begin();
  ifindexAndTag(program);
  tunnelInKey(program);
  macs(program);
  lookUpFlow(program);
  macs(program);
  carryKnown(program);
  miss(program, { credit: false, overIpv6: true });
  tunnelInKey6(program);
  outputs(program);
  return program.assemble();
}

/** Frames that user space writes to the TAP: of links, or with outputs of their own. */
function fromUser(): AssembledProgram {
  const program = begin();
  program.load(4, "r1", "r6", SKB.vlanPresent).jumpIf("r1", "eq", 0, "drop")
    .load(4, "r9", "r6", SKB.vlanTci)
    .load(4, "r8", "r6", SKB.vlanProtocol)
    .mov("r1", "r6").call(HELPER.vlanPop)
    .jumpIf("r0", "ne", 0, "drop")
    .jumpIf("r8", "eq", DOT1AD, "own");
  ifindexAndTag(program);
  program.load(4, "r1", "r10", AT.key + KEY.id).alu("or", "r1", "r9")
    .store(4, "r10", AT.key + KEY.id, "r1")
    .store(4, "r10", AT.key + KEY.source, 0).store(4, "r10", AT.key + KEY.destination, 0);
  macs(program);
  lookUpFlow(program);
  miss(program, { credit: false });
  // A frame with outputs of its own: they are in `groups`, where its tag says.
  program.label("own").alu("and", "r9", 0xfff).alu("lsh", "r9", SLOT_SHIFT)
    .store(8, "r10", AT.group + GROUP_KEY.ufid, 0)
    .store(4, "r10", AT.group + GROUP_KEY.chunk, "r9")
    .store(4, "r10", AT.group + GROUP_KEY.chunk + 4, 0);
  findElement(program, "groups", AT.group);
  program.jumpIf("r0", "eq", 0, "drop").mov("r7", "r0").load(4, "r8", "r7", GROUP.count).mov("r9", 0)
    .jumpIf("r8", "eq", 0, "drop").jumpIf("r8", "gt", MAX_OUTPUTS, "drop")
    .alu("add", "r7", GROUP.actions)
    .jump("act");
  outputs(program);
  return program.assemble();
}

function begin(): Assembler {
  return new Assembler().mov("r6", "r1");
}

/** Key: the interface, and whether there is a VLAN tag. */
function ifindexAndTag(program: Assembler): void {
  program.load(4, "r1", "r6", SKB.ifindex).store(4, "r10", AT.key + KEY.ifindex, "r1")
    .load(4, "r1", "r6", SKB.vlanPresent).alu("lsh", "r1", 31)
    .store(4, "r10", AT.key + KEY.id, "r1");
}

/** Key: both MACs, as they lie in the frame. Two octets at a time: frames begin between words, which not all processors
 * read, and the key is to be written in words, as it is read in words at once. */
function macs(program: Assembler): void {
  program.load(4, "r2", "r6", SKB.data).load(4, "r3", "r6", SKB.end)
    .mov("r1", "r2").alu("add", "r1", 14).jumpIf("r1", "gt", "r3", "drop");
  for (const at of [0, 4, 8]) {
    program.load(2, "r1", "r2", at).load(2, "r4", "r2", at + 2).alu("lsh", "r4", 16).alu("or", "r1", "r4")
      .store(4, "r10", AT.key + KEY.macs + at, "r1");
  }
  program.store(4, "r10", AT.key + KEY.wide, 0);
}

/** Goes to "hit" with r7 = the flow; falls through where there is none. */
function lookUpFlow(program: Assembler): void {
  findElement(program, "flows", AT.key);
  program.mov("r7", "r0").jumpIf("r7", "ne", 0, "hit");
  // The MACs are kept on the frame; the key is of no more use than for flows of all MACs.
  for (const at of [0, 4, 8]) program.store(4, "r10", AT.key + KEY.macs + at, 0);
  program.store(4, "r10", AT.key + KEY.wide, 1);
  findElement(program, "flows", AT.key);
  program.mov("r7", "r0").jumpIf("r7", "ne", 0, "hit");
}

/** Hands the frame to user space, if its port has not had too many. */
function miss(
  program: Assembler,
  { credit, overIpv6 = false }: { credit: boolean; overIpv6?: boolean },
): void {
  findElement(program, "rates", AT.key + KEY.ifindex);
  program.jumpIf("r0", "eq", 0, "no rate").mov("r7", "r0").call(HELPER.now);
  countInRate(program, "r7", STRETCH.misses, "bounded");
  program.label("no rate").store(4, "r10", AT.index, CONFIG_AT.settings);
  findElement(program, "config", AT.index);
  program.jumpIf("r0", "eq", 0, "drop").load(4, "r9", "r0", CONFIG.tap);
  if (credit) {
    program.load(4, "r8", "r0", CONFIG.taken);
    // Without a daemon there is no TAP: the bridge has the frame, so that containers of one host reach each other.
    program.store(4, "r10", AT.index, 0)
      .mov("r1", "r6").mov("r2", "r9").mov("r3", "r10").alu("add", "r3", AT.index).mov("r4", 0).mov("r5", 0)
      .call(HELPER.checkMtu)
      .jumpIf("r0", "eq", NO_DEVICE, "to the bridge");
    program.store(4, "r10", AT.index, CONFIG_AT.given);
    findElement(program, "config", AT.index);
    program.jumpIf("r0", "eq", 0, "drop").load(4, "r1", "r0", CONFIG.given)
      .alu("sub", "r1", "r8").alu("lsh", "r1", 32).alu("rsh", "r1", 32)
      // User space may have taken more than were given: it forgives all when it has emptied the TAP, also what came after.
      .jumpIf("r1", "gt", 0x7fff_ffff, "ahead")
      .jumpIf("r1", "ge", WAITING_MISSES, "bounded")
      .label("ahead").mov("r7", "r0");
  }
  countFrame(program, "misses");
  // A tag of ours first: a tag that the frame has goes into the frame by that.
  program.mov("r1", "r6").mov("r2", DOT1Q).mov("r3", MISS_TCI).call(HELPER.vlanPush)
    .jumpIf("r0", "ne", 0, "drop");
  if (overIpv6) {
    program.load(4, "r1", "r10", AT.key + KEY.id).alu("and", "r1", OUTER6).jumpIf("r1", "eq", 0, "short");
    inFront(program, [
      [AT.key, MISS.size],
      [AT.tunnel + TUNNEL.remote, MISS.ends6 / 2],
      [AT.tunnel + TUNNEL.local, MISS.ends6 / 2],
    ]);
    program.jump("up").label("short");
  }
  inFront(program, [[AT.key, MISS.size]]);
  program.label("up");
  if (credit) program.mov("r1", 1).atomicAdd(4, "r7", CONFIG.given, "r1");
  program.mov("r1", "r9").mov("r2", 0).call(HELPER.redirect)
    .exit();
  if (credit) program.label("to the bridge").mov("r0", PASS).exit();
  program.label("bounded");
  countFrame(program, "bounded");
  program.mov("r0", DROP).exit();
  program.label("drop");
  countFrame(program, "dropped");
  program.label("done").mov("r0", DROP).exit();
}

/** Puts parts of the stack in front of the frame. */
function inFront(program: Assembler, parts: readonly (readonly [at: number, size: number])[]): void {
  const size = parts.reduce((sum, [, octets]) => sum + octets, 0);
  program.mov("r1", "r6").mov("r2", size).mov("r3", 0).call(HELPER.changeHead)
    .jumpIf("r0", "ne", 0, "drop");
  let to = 0;
  for (const [at, octets] of parts) {
    program.mov("r1", "r6").mov("r2", to).mov("r3", "r10").alu("add", "r3", at).mov("r4", octets)
      .mov("r5", 0).call(HELPER.storeBytes)
      .jumpIf("r0", "ne", 0, "drop");
    to += octets;
  }
}

/** What is done to a frame that has a flow (r7): "hit"; "act" does one output after the other, from r7 on. */
function outputs(program: Assembler): void {
  program.label("hit").mov("r1", 1).atomicAdd(8, "r7", FLOW.packets, "r1")
    .load(4, "r1", "r6", SKB.length).atomicAdd(8, "r7", FLOW.bytes, "r1");
  countFrame(program, "hits");
  program.load(4, "r8", "r7", FLOW.count).mov("r9", 0)
    .load(4, "r1", "r7", FLOW.meter).jumpIf("r1", "eq", 0, "no meter")
    .store(4, "r10", AT.index, "r1");
  findElement(program, "meters", AT.index);
  program.jumpIf("r0", "eq", 0, "no meter").mov("r9", "r0").call(HELPER.now);
  countInRate(program, "r9", STRETCH.meters, "over");
  program.jump("metered").label("over").load(4, "r8", "r7", FLOW.locals)
    .label("metered").mov("r9", 0)
    .label("no meter").jumpIf("r8", "eq", 0, "done").jumpIf("r8", "gt", MAX_OUTPUTS, "drop")
    .load(8, "r1", "r7", FLOW.ufid).store(8, "r10", AT.group + GROUP_KEY.ufid, "r1")
    .store(8, "r10", AT.group + GROUP_KEY.chunk, 0)
    .load(4, "r1", "r7", FLOW.count)
    .jumpIf("r1", "ne", 1, "several")
    .alu("add", "r7", FLOW.only).mov("r8", 1).jump("act")
    .label("several");
  findElement(program, "groups", AT.group);
  program.jumpIf("r0", "eq", 0, "drop").mov("r7", "r0").alu("add", "r7", GROUP.actions)
    .label("act");
  act(program);
  program.alu("add", "r9", 1).jumpIf("r9", "ge", "r8", "done").jumpIf("r9", "ge", MAX_OUTPUTS, "done")
    .alu("add", "r7", ACTION.size)
    .mov("r1", "r9").alu("and", "r1", CHUNK - 1).jumpIf("r1", "ne", 0, "act")
    .load(4, "r1", "r10", AT.group + GROUP_KEY.chunk).alu("add", "r1", 1)
    .store(4, "r10", AT.group + GROUP_KEY.chunk, "r1");
  findElement(program, "groups", AT.group);
  program.jumpIf("r0", "eq", 0, "done").mov("r7", "r0").alu("add", "r7", GROUP.actions).jump("act");
}

/** One output, r7 its action. The last one takes the frame, others a copy. Fields are read where they are needed and kept
 * nowhere, so that the kernel's verifier sees the same state after each output whatever that was. */
function act(program: Assembler): void {
  program.load(4, "r1", "r7", ACTION.kind)
    .jumpIf("r1", "eq", OUTPUT.sleeve, "to user space").jumpIf("r1", "ne", OUTPUT.tunnel, "no IPv4 tunnel");
  setTunnel(program);
  program.jump("ready")
    .label("no IPv4 tunnel").jumpIf("r1", "ne", OUTPUT.tunnel6, "ready");
  setTunnel6(program);
  program.jump("ready")
    .label("to user space")
    .mov("r1", "r6").mov("r2", DOT1Q).load(4, "r3", "r7", ACTION.id).call(HELPER.vlanPush)
    .label("ready")
    .load(4, "r2", "r7", ACTION.ifindex)
    .load(4, "r1", "r7", ACTION.kind)
    .mov("r3", 0)
    .jumpIf("r1", "ne", OUTPUT.leg, "outwards")
    .mov("r3", INGRESS)
    .label("outwards")
    .mov("r1", "r9").alu("add", "r1", 1).jumpIf("r1", "lt", "r8", "copy")
    .mov("r1", "r2").mov("r2", "r3").call(HELPER.redirect)
    .exit()
    .label("copy")
    .mov("r1", "r6").call(HELPER.cloneRedirect)
    .load(4, "r1", "r7", ACTION.kind).jumpIf("r1", "ne", OUTPUT.sleeve, "copied")
    .mov("r1", "r6").call(HELPER.vlanPop)
    .label("copied");
}
