/** What the maps say of flows, as the core takes it. Pure. */
import type { FlowCarried } from "../../overlay/ports/dataplane_types.ts";
import type { FlowAction, FlowHandle, FlowRecord, Ufid } from "../../wire/netlink/ovs_keys.ts";
import { ACTION, CHUNK, FLOW, GROUP, KEY, readAction, type Translator } from "./layout.ts";

/** That of a flow which is known by its id. */
export const NO_HANDLE = new Uint8Array(0) as Uint8Array as FlowHandle;
/** A handle is a key and the id behind it. */
export const HANDLE = KEY.size + 8;

/** The id of the flow whose value begins at `at`. */
export function ufidAt(values: Uint8Array, at: number): Ufid {
  return Number(new DataView(values.buffer, values.byteOffset + at).getBigUint64(FLOW.ufid, true)) as Ufid;
}

/** Names a flow in a deletion: its key and its id. */
export function handleOf(keys: Uint8Array, at: number, ufid: Ufid): FlowHandle {
  const handle = new Uint8Array(HANDLE);
  handle.set(keys.subarray(at, at + KEY.size));
  new DataView(handle.buffer).setBigUint64(KEY.size, BigInt(ufid), true);
  return handle as Uint8Array as FlowHandle;
}

/** What a flow has carried. */
export function countOf(value: Uint8Array, ufid: Ufid): FlowCarried {
  const { bytes, packets } = recordOf(value, 0, { ufid, handle: NO_HANDLE });
  return { bytes, packets, ufid };
}

/** A flow's counts as a record; its key and actions are not told. */
export function recordOf(
  values: Uint8Array,
  at: number,
  what: { readonly ufid: Ufid | undefined; readonly handle: FlowHandle },
): FlowRecord {
  const view = new DataView(values.buffer, values.byteOffset + at, FLOW.size);
  const [packets, bytes] = [FLOW.packets, FLOW.bytes].map((offset) =>
    Number(view.getBigUint64(offset, true))
  );
  return { ...what, packets: packets!, bytes: bytes!, key: undefined, actions: undefined, usedAt: undefined };
}

/** Its outputs; undefined when one of them cannot be read. */
export function outputsOf(
  { count, only }: { readonly count: number; readonly only: () => FlowAction | undefined },
  ofGroup: (i: number) => FlowAction | undefined,
): readonly FlowAction[] | undefined {
  const actions = Array.from({ length: count }, (_, i) => count === 1 ? only() : ofGroup(i));
  const known = actions.filter((action) => action !== undefined);
  return known.length === actions.length ? known : undefined;
}

/** The output number `i` of a flow that has several. */
export function outputInGroup(
  groups: ReadonlyMap<string, { readonly value: Uint8Array }>,
  { ufid, i }: { readonly ufid: Ufid; readonly i: number },
  translator: Pick<Translator, "addressOf" | "portOf">,
): FlowAction | undefined {
  const group = groups.get(`${ufid} ${Math.floor(i / CHUNK)}`);
  return group && readAction(group.value, GROUP.actions + (i % CHUNK) * ACTION.size, translator);
}
