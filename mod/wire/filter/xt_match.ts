/** Matches and targets of x_tables, which iptables-legacy and iptables-nft both use (include/uapi/linux/netfilter/xt_*.h). */
import { type OctetSpan, type RuleVerdict, single, type Test } from "./model.ts";

/** A test of which nothing is known: it may hold or not. */
export const UNKNOWN_TEST: Test = { field: "other", spans: [], negated: false };

const be16 = (value: number) => Uint8Array.of(value >> 8, value & 0xff);
const mask32 = (bits: number) => Uint8Array.from(new Uint8Array(Uint32Array.of(bits).buffer));
const ZERO = new Uint8Array(4);

/** Offsets in struct xt_conntrack_mtinfo3; before revision 3 all fields but the last four are as long. */
const CONNTRACK = { matchFlags: 146, invertFlags: 148, stateMask: 150, length: 164 } as const;
const STATE_FLAG = 1;
const STATE_ALIAS = 1 << 13;
/** XT_CONNTRACK_STATE_* below SNAT are the bits of nf_tables, too; UNTRACKED is 64 in both. */
const STATE_BITS = 0x4f;
/** XT_ADDRTYPE_*. */
const ADDRTYPE = { invertedDestination: 2, byInterface: 4 | 8 } as const;
const INVERTED_DPORT = 2;
const MULTIPORT_DESTINATION = 1;

/** What a match asks, all of it; undefined: it asks nothing, as a comment does. */
export function testsOfMatch(name: string, revision: number, info: Uint8Array): readonly Test[] {
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  switch (name) {
    case "comment":
      return [];
    case "tcp":
    case "udp": {
      const [invertedAt, least] = name === "tcp" ? [11, 12] : [8, 9];
      if (info.length < least) return [UNKNOWN_TEST];
      const bySource = view.getUint16(0, true) !== 0 || view.getUint16(2, true) !== 0xffff;
      const byFlags = name === "tcp" && (info[8] !== 0 || info[9] !== 0);
      const [low, high] = [view.getUint16(4, true), view.getUint16(6, true)];
      const negated = (info[invertedAt]! & INVERTED_DPORT) !== 0;
      const whole = low === 0 && high === 0xffff && !negated;
      const tests: Test[] = whole ? [] : [{
        field: "dport",
        spans: [{ low: be16(low), high: be16(high) }],
        negated,
      }];
      return bySource || byFlags ? [...tests, UNKNOWN_TEST] : tests;
    }
    case "addrtype":
      return addressKind(revision, info);
    case "multiport":
      return [multiport(revision, info)];
    case "state":
      return info.length < 4 ? [UNKNOWN_TEST] : [stateTest(view.getUint32(0, true), false)];
    case "conntrack": {
      if (revision < 2 || info.length < CONNTRACK.length - 12) return [UNKNOWN_TEST];
      const flags = view.getUint16(CONNTRACK.matchFlags, true);
      const inverted = (view.getUint16(CONNTRACK.invertFlags, true) & STATE_FLAG) !== 0;
      const state = stateTest(view.getUint16(CONNTRACK.stateMask, true), inverted);
      const tests = (flags & STATE_FLAG) !== 0 ? [state] : [];
      return (flags & ~(STATE_FLAG | STATE_ALIAS)) === 0 ? tests : [...tests, UNKNOWN_TEST];
    }
    default:
      return [UNKNOWN_TEST];
  }
}

/** Whether the connection's state has one of these bits. */
function stateTest(bits: number, negated: boolean): Test {
  return { field: "ct-state", mask: mask32(bits & STATE_BITS), spans: [single(ZERO)], negated: !negated };
}

/** struct xt_addrtype_info_v1: masks of kinds for source and destination, then flags. */
function addressKind(revision: number, info: Uint8Array): readonly Test[] {
  if (revision !== 1 || info.length < 8) return [UNKNOWN_TEST];
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  const [source, kinds, flags] = [view.getUint16(0, true), view.getUint16(2, true), view.getUint32(4, true)];
  const spans = Array.from({ length: 16 }, (_, kind) => kind).filter((kind) => (kinds & (1 << kind)) !== 0)
    .map((kind) => single(mask32(kind)));
  const test: Test = {
    field: "destination-kind",
    spans,
    negated: (flags & ADDRTYPE.invertedDestination) !== 0,
  };
  const tests = kinds === 0 ? [] : [test];
  return source === 0 && (flags & ADDRTYPE.byInterface) === 0 ? tests : [...tests, UNKNOWN_TEST];
}

function multiport(revision: number, info: Uint8Array): Test {
  const count = info[1] ?? 0;
  if (info[0] !== MULTIPORT_DESTINATION || count > 15 || info.length < (revision >= 1 ? 48 : 32)) {
    return UNKNOWN_TEST;
  }
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  const spans: OctetSpan[] = [];
  for (let i = 0; i < count; i++) {
    const low = view.getUint16(2 + i * 2, true);
    const isRange = revision >= 1 && info[32 + i] !== 0 && i + 1 < count;
    spans.push({ low: be16(low), high: be16(isRange ? view.getUint16(4 + i++ * 2, true) : low) });
  }
  return { field: "dport", spans, negated: revision >= 1 && info[47] !== 0 };
}

const PASSING: ReadonlySet<string> = new Set([
  "LOG",
  "NFLOG",
  "MARK",
  "CONNMARK",
  "TCPMSS",
  "TRACE",
  "CT",
  "SET",
]);

/** What a target does, other than the standard one. */
export function verdictOfTarget(name: string): RuleVerdict {
  if (name === "REJECT" || name === "DROP") return { kind: "drop" };
  return { kind: PASSING.has(name) ? "continue" : "unknown" };
}

/** The text in a comment. */
export function commentOfMatch(name: string, info: Uint8Array): string | undefined {
  if (name !== "comment") return undefined;
  const end = info.indexOf(0);
  return new TextDecoder().decode(end < 0 ? info : info.subarray(0, end));
}
