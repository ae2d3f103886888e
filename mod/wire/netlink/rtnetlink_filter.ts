/** Programs at the hooks of an interface, through which its frames come in and go out (include/uapi/linux/rtnetlink.h,
 * pkt_cls.h, pkt_sched.h). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { onlyMessage } from "./rtnetlink_message.ts";

const RTM = { newQdisc: 36, newFilter: 44, delFilter: 45, getFilter: 46 } as const;
const TCA = { kind: 1, options: 2 } as const;
const BPF = { fd: 6, name: 7, flags: 8, id: 11 } as const; // TCA_BPF_*
const DIRECT_ACTION = 1;
const CLSACT = 0xffff_fff1;
const CLSACT_HANDLE = 0xffff_0000;
/** Parents of the filters of both hooks. */
const PARENT = { in: 0xffff_fff2, out: 0xffff_fff3 } as const;
/** ETH_P_ALL in network order. */
const ALL_PROTOCOLS = 0x0300;
const HEADER = 20; // struct tcmsg

/** Where our filters stand among others: behind those with lower priorities. */
export const FILTER_PLACE = { priority: 6784, handle: 1 } as const;

/** Where frames come in, or go out. */
export type FilterHook = keyof typeof PARENT;

/** One filter. */
export interface BpfFilter {
  readonly ifindex: number;
  /** The lower, the earlier. */
  readonly priority: number;
  readonly handle: number;
  /** `bpf`, `u32`, `flower` ... */
  readonly kind: string;
  /** Of kind `bpf`: what it was called when it was put there. */
  readonly name: string | undefined;
  /** Of kind `bpf`: the program's id. */
  readonly program: number | undefined;
}

function begin(type: number, flags: number, message: {
  readonly ifindex: number;
  readonly parent: number;
  readonly handle?: number;
  readonly info?: number;
}): NetlinkWriter {
  const { handle = 0, ifindex, info = 0, parent } = message;
  const writer = new NetlinkWriter(128).begin(type, NLM_F.request | flags).u8(0).u8(0).u16(0);
  return writer.u32(ifindex).u32(handle).u32(parent).u32(info);
}

/** Gives an interface both hooks. EEXIST when it has them, or the one for frames that come in. */
export function newFilterHooks(ifindex: number): Uint8Array<ArrayBuffer> {
  const flags = NLM_F.ack | NLM_F.create | NLM_F.excl;
  const writer = begin(RTM.newQdisc, flags, { ifindex, parent: CLSACT, handle: CLSACT_HANDLE });
  return writer.attrText(TCA.kind, "clsact").end().finish();
}

/** Puts a program at a hook, in the place of one with this priority and handle, if there is one: no frame passes in
 * between. */
export function setBpfFilter(
  ifindex: number,
  { fd, handle, hook, name, priority }: {
    readonly hook: FilterHook;
    readonly priority: number;
    readonly handle: number;
    readonly fd: number;
    readonly name: string;
  },
): Uint8Array<ArrayBuffer> {
  const flags = NLM_F.ack | NLM_F.create | NLM_F.replace;
  const info = (priority << 16 | ALL_PROTOCOLS) >>> 0;
  const writer = begin(RTM.newFilter, flags, { ifindex, parent: PARENT[hook], handle, info });
  writer.attrText(TCA.kind, "bpf");
  const options = writer.open(TCA.options);
  writer.attrU32(BPF.fd, fd).attrText(BPF.name, name).attrU32(BPF.flags, DIRECT_ACTION);
  return writer.close(options).end().finish();
}

/** Takes a filter away. ENOENT or EINVAL when it is not there. */
export function deleteFilter(
  ifindex: number,
  { handle, hook, priority }: {
    readonly hook: FilterHook;
    readonly priority: number;
    readonly handle: number;
  },
): Uint8Array<ArrayBuffer> {
  const info = (priority << 16 | ALL_PROTOCOLS) >>> 0;
  const writer = begin(RTM.delFilter, NLM_F.ack, { ifindex, parent: PARENT[hook], handle, info });
  return writer.attrText(TCA.kind, "bpf").end().finish();
}

/** Asks for all filters of a hook; none where an interface has no hooks. */
export function dumpFilters(ifindex: number, hook: FilterHook): Uint8Array<ArrayBuffer> {
  return begin(RTM.getFilter, NLM_F.dump, { ifindex, parent: PARENT[hook] }).end().finish();
}

/** Decodes one whole message of the answer to dumpFilters(). */
export function decodeFilter(bytes: Uint8Array): Decoded<BpfFilter> {
  const message = onlyMessage(bytes, RTM.newFilter, HEADER);
  if (!message.ok) return message;
  const body = message.value;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let kind = "";
  let name: string | undefined;
  let program: number | undefined;
  const reader = new AttributeReader(body, HEADER);
  while (reader.next()) {
    if (reader.type === TCA.kind) kind = reader.text();
    else if (reader.type === TCA.options && kind === "bpf") {
      const options = reader.nested();
      while (options.next()) {
        if (options.type === BPF.name) name = options.text();
        else if (options.type === BPF.id) program = options.u32();
      }
      if (options.failure !== undefined) reader.fail(options.failure);
    }
  }
  if (reader.failure !== undefined) return bad(reader.failure);
  const [ifindex, handle] = [view.getInt32(4, true), view.getUint32(8, true)];
  return good({ ifindex, handle, priority: view.getUint32(16, true) >>> 16, kind, name, program });
}

/** Indexes of the interfaces whose filters a notice of QDISC_NOTICES is about; none when it cannot be read. */
export function linksOfFilterNotice(bytes: Uint8Array): readonly number[] {
  const split = splitMessages(bytes);
  if (!split.ok) return [];
  return split.value
    .filter(({ type, body }) => (type === RTM.newFilter || type === RTM.delFilter) && body.length >= HEADER)
    .map(({ body }) => new DataView(body.buffer, body.byteOffset).getInt32(4, true));
}
