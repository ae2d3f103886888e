/** What becomes of frames between two addresses here, and what their flows have carried: for people who look for a fault. */
import { formatMac } from "../../core/addr.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowAction } from "../../wire/netlink/ovs_keys.ts";
import { vniOf } from "../../wire/packet/vxlan.ts";
import type { FrameQuestion, FrameView } from "../ports/frame_view.ts";
import type { FlowEntry, FlowTable } from "./flow_table.ts";
import { decide, type ForwardContext } from "./forward.ts";
import { isLocalPlace, type Place, placePort, placeShort } from "./place.ts";

/** Answers a question about frames. Nothing is learnt or changed by it. */
export function explain(
  question: FrameQuestion,
  { context, flows, now }: {
    readonly context: ForwardContext;
    readonly flows: FlowTable;
    readonly now: Millis;
  },
): FrameView {
  const { dst, from, src, to } = question;
  const { macs, network } = context;
  const place = dst === undefined ? undefined : macs.placeOf(dst);
  const source = src === undefined ? undefined : macs.placeOf(src);
  const pair = (a: typeof src, b: typeof dst) =>
    a === undefined || b === undefined ? [] : flows.between(a, b);
  const relayed = (a: typeof from, b: typeof to) => {
    const [one, two] = [a, b].map((name) => name === undefined ? undefined : network.shortOf(name));
    return one === undefined || two === undefined ? [] : flows.relaying(vniOf(one, two));
  };
  const there = [...pair(src, dst), ...relayed(from, to)];
  const back = [...pair(dst, src), ...relayed(to, from)];
  const isHere = source !== undefined && isLocalPlace(source) && dst !== undefined;
  const decision = isHere
    ? decide({ inPort: placePort(source), ethSrc: src, ethDst: dst }, context, now)
    : undefined;
  return {
    ...placeText(place, context),
    dropped: decision?.dropped,
    there: { flows: there.length, packets: packetsOf(there) },
    back: { flows: back.length, packets: packetsOf(back) },
    out: [...new Set(there.flatMap(({ actions }) => actions.map((action) => actionText(action, context))))],
    known: dst === undefined || place === undefined ? undefined : formatMac(dst),
  };
}

function packetsOf(flows: readonly FlowEntry[]): number {
  return flows.reduce((sum, { packets }) => sum + packets, 0);
}

function placeText(
  place: Place | undefined,
  { network, ports }: ForwardContext,
): Pick<FrameView, "port" | "peer"> {
  if (place === undefined) return { port: undefined, peer: undefined };
  if (!isLocalPlace(place)) return { port: undefined, peer: network.nameOf(placeShort(place)) };
  return { port: ports.get(placePort(place))?.name, peer: undefined };
}

function actionText(action: FlowAction, { ports }: ForwardContext): string {
  switch (action.kind) {
    case "output":
      return `port ${ports.get(action.port)?.name ?? action.port}`;
    case "tunnel":
      return `tunnel to ${action.tunnel.dst}`;
    case "sleeve":
      return "user space";
  }
}
