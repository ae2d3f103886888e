/** What peers sent and were sent, as text. */
import type { OverlayTraffic, TrafficReport } from "../control/api_types.ts";
import { count, size } from "./render.ts";

/** Of both overlays together. */
export function total({ fastdp, sleeve }: TrafficReport, what: keyof OverlayTraffic): number {
  return fastdp[what] + sleeve[what];
}

/** `fastdp: received 1.2 MB in 900 packets, sent 9.5 kB in 97 packets`; a line for each overlay that carried something. */
export function trafficLines(traffic: TrafficReport | null): readonly string[] {
  if (traffic === null) return [];
  return (["fastdp", "sleeve"] as const).flatMap((overlay) => {
    const { receivedBytes, receivedPackets, sentBytes, sentPackets } = traffic[overlay];
    if (receivedPackets + sentPackets === 0) return [];
    const received = `${size(receivedBytes)} in ${count(receivedPackets, "packet")}`;
    return [`${overlay}: received ${received}, sent ${size(sentBytes)} in ${count(sentPackets, "packet")}`];
  });
}
