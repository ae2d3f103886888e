/** Outer headers in the programs: where a frame's tunnel is read, and where it is said. What is for IPv6 lies beside the way
 * of IPv4. */
import type { Assembler } from "./assembler.ts";
import { ACTION, KEY, OUTER6 } from "./layout.ts";
import { AT, findElement, HELPER } from "./program_parts.ts";

/** struct bpf_tunnel_key. */
export const TUNNEL = { size: 44, id: 0, remote: 4, tos: 20, ttl: 21, label: 24, local: 28 } as const;
const OVER_IPV6 = 1; // BPF_F_TUNINFO_IPV6
const ZERO_CHECKSUM = 2; // BPF_F_ZERO_CSUM_TX
const TTL = 64;

function clearTunnel(program: Assembler): void {
  program.store(4, "r10", AT.tunnel, 0);
  for (let at = 4; at < TUNNEL.size; at += 8) program.store(8, "r10", AT.tunnel + at, 0);
}

/** Key: the tunnel of a frame, and "addressed". Goes to "no IPv4" where its outer header is none. */
export function tunnelInKey(program: Assembler): void {
  clearTunnel(program);
  getTunnel(program, 0);
  program.jumpIf("r0", "ne", 0, "no IPv4")
    .load(4, "r1", "r10", AT.key + KEY.id)
    .load(4, "r2", "r10", AT.tunnel + TUNNEL.id)
    .alu("or", "r1", "r2")
    .store(4, "r10", AT.key + KEY.id, "r1")
    .load(4, "r1", "r10", AT.tunnel + TUNNEL.remote)
    .store(4, "r10", AT.key + KEY.source, "r1")
    .load(4, "r1", "r10", AT.tunnel + TUNNEL.local)
    .store(4, "r10", AT.key + KEY.destination, "r1")
    .label("addressed");
}

function getTunnel(program: Assembler, flags: number): void {
  program.mov("r1", "r6").mov("r2", "r10").alu("add", "r2", AT.tunnel).mov("r3", TUNNEL.size)
    .mov("r4", flags).call(HELPER.getTunnelKey);
}

/** "no IPv4": the same for an outer header of IPv6, back to "addressed". An address that has no number has no flow. */
export function tunnelInKey6(program: Assembler): void {
  program.label("no IPv4");
  getTunnel(program, OVER_IPV6);
  program.jumpIf("r0", "ne", 0, "drop")
    .load(4, "r1", "r10", AT.key + KEY.id)
    .load(4, "r2", "r10", AT.tunnel + TUNNEL.id)
    .alu("or", "r1", "r2").alu("or", "r1", OUTER6)
    .store(4, "r10", AT.key + KEY.id, "r1");
  for (const [from, to] of [[TUNNEL.remote, KEY.source], [TUNNEL.local, KEY.destination]] as const) {
    program.store(4, "r10", AT.key + to, 0);
    findElement(program, "numbers", AT.tunnel + from);
    program.jumpIf("r0", "eq", 0, `no number ${to}`).load(4, "r1", "r0", 0)
      .store(4, "r10", AT.key + to, "r1").label(`no number ${to}`);
  }
  program.jump("addressed");
}

/** The frame's tunnel is that of the action at r7, over IPv4. */
export function setTunnel(program: Assembler): void {
  clearTunnel(program);
  for (
    const [from, to] of [
      [ACTION.id, TUNNEL.id],
      [ACTION.source, TUNNEL.local],
      [ACTION.destination, TUNNEL.remote],
    ] as const
  ) program.load(4, "r1", "r7", from).store(4, "r10", AT.tunnel + to, "r1");
  putTunnel(program, ZERO_CHECKSUM);
}

/** The same over IPv6: the action has the numbers of the addresses. Goes to "drop" where that cannot be. */
export function setTunnel6(program: Assembler): void {
  // All else is written: the id, and both addresses whole.
  program.store(8, "r10", AT.tunnel + TUNNEL.tos, 0)
    .load(4, "r1", "r7", ACTION.id).store(4, "r10", AT.tunnel + TUNNEL.id, "r1");
  for (const [from, to] of [[ACTION.source, TUNNEL.local], [ACTION.destination, TUNNEL.remote]] as const) {
    program.load(4, "r1", "r7", from).store(4, "r10", AT.index, "r1");
    findElement(program, "addresses", AT.index);
    program.jumpIf("r0", "eq", 0, "drop");
    for (const half of [0, 8]) {
      program.load(8, "r1", "r0", half).store(8, "r10", AT.tunnel + to + half, "r1");
    }
  }
  putTunnel(program, ZERO_CHECKSUM | OVER_IPV6);
}

function putTunnel(program: Assembler, flags: number): void {
  program.store(1, "r10", AT.tunnel + TUNNEL.ttl, TTL)
    .mov("r1", "r6").mov("r2", "r10").alu("add", "r2", AT.tunnel).mov("r3", TUNNEL.size).mov("r4", flags)
    .call(HELPER.setTunnelKey);
}
