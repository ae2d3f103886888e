/** What tests share that stand in for the kernel: sockets, refusals, and messages taken apart and put together. */
import assert from "node:assert/strict";
import { ERRNO } from "../../mod/core/errno.ts";
import { MeshnetError } from "../../mod/core/errors.ts";
import type { NetlinkSocket } from "../../mod/core/ports.ts";
import type { NoticeSocket } from "../../mod/overlay/ports/datapath_port.ts";
import { AttributeReader, NLM_F, NLMSG_HEADER } from "../../mod/wire/netlink/netlink.ts";
import { NetlinkWriter } from "../../mod/wire/netlink/netlink_writer.ts";

/** What a socket throws when the kernel refuses a request. */
export function refusal(errno: number): MeshnetError {
  return new MeshnetError("netlink/request-failed", `Kernel refuses request: errno ${errno}`, { errno });
}

/** A socket whose requests `answer` answers. It counts itself in `open`, and may not be used after its end. */
export function fakeSocket(
  answer: (message: Uint8Array<ArrayBuffer>) => readonly Uint8Array[],
  { portId = 1, count = () => {} }: { portId?: number; count?: (by: 1 | -1) => void } = {},
): NetlinkSocket {
  let open = true;
  count(1);
  return {
    portId,
    request(message) {
      if (!open) throw new TypeError("socket is disposed");
      return answer(message);
    },
    send() {},
    [Symbol.dispose]() {
      if (open) count(-1);
      open = false;
    },
  };
}

/** A socket of notices: what waits, and overruns in between. */
export class FakeNotices implements NoticeSocket {
  readonly queue: (Uint8Array | "overrun")[] = [];
  disposed = false;

  constructor(readonly fd = 22) {}

  push(...notices: readonly (Uint8Array | "overrun")[]): void {
    this.queue.push(...notices);
  }
  receive(): Uint8Array | undefined {
    const next = this.queue.shift();
    if (next !== "overrun") return next;
    throw new MeshnetError("native/call-failed", "Cannot receive", { errno: ERRNO.ENOBUFS });
  }
  [Symbol.dispose](): void {
    this.disposed = true;
  }
}

/** The header of a request. */
export function headOf(
  message: Uint8Array,
): { type: number; dump: boolean; create: boolean; body: Uint8Array } {
  const view = viewOf(message);
  const flags = view.getUint16(6, true);
  return {
    type: view.getUint16(4, true),
    dump: (flags & NLM_F.dump) === NLM_F.dump,
    create: (flags & NLM_F.create) !== 0,
    body: message.subarray(NLMSG_HEADER),
  };
}

/** All attributes from `from` on, by type; of equal types the last one stays. */
export function attributesOf(bytes: Uint8Array, from = 0): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const reader = new AttributeReader(bytes, from);
  while (reader.next()) found.set(reader.type, reader.value());
  assert.equal(reader.failure, undefined);
  return found;
}

/** The value of an attribute as text, numbers, or one number. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/\0.*$/, "");
export const u32sOf = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.slice().buffer)];
export const u32Of = (bytes: Uint8Array): number => u32sOf(bytes)[0]!;

/** Reads and writes the bytes of a message in place. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What a message about an interface may say. */
export interface LinkMessage {
  /** 16: it is there; 17: it has gone. */
  readonly type?: 16 | 17;
  readonly index: number;
  readonly name: string;
  readonly up?: boolean;
  readonly mtu: number;
  readonly mac?: Uint8Array;
  readonly kind?: string | undefined;
  /** Index of the bridge that it is a port of. */
  readonly master?: number | undefined;
  /** As such a port; undefined: the kernel has no such setting. */
  readonly passesReserved?: boolean;
  /** Index of its other end; `away`: in another namespace. */
  readonly peer?: { readonly index: number; readonly away: boolean } | undefined;
}

/** The kernel's message about an interface. */
export function linkMessage(link: LinkMessage): Uint8Array<ArrayBuffer> {
  const { index, kind, mac, master, mtu, name, passesReserved, peer, type = 16, up = true } = link;
  const writer = new NetlinkWriter().begin(type, 0).u8(0).u8(0).u16(1).u32(index).u32(up ? 0x10001 : 0).u32(
    0,
  );
  writer.attrText(3, name).attrU32(4, mtu);
  if (mac !== undefined) writer.attrBytes(1, mac);
  if (peer !== undefined) writer.attrU32(5, peer.index);
  if (peer?.away === true) writer.attrU32(37, 0);
  if (master !== undefined) writer.attrU32(10, master);
  if (kind !== undefined) {
    const info = writer.open(18);
    writer.attrText(1, kind);
    writer.close(writer.open(2));
    if (master !== undefined && passesReserved !== undefined) {
      writer.attrText(4, "bridge");
      const port = writer.open(5);
      writer.attrU16(31, passesReserved ? 0xfffd : 0).close(port);
    }
    writer.close(info);
  }
  return writer.end().finish();
}
