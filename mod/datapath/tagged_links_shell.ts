/** The links' side of the TAP, as both of the kernel's datapaths have it: the kernel writes frames with a tag for a link and
 * peers; what links bring gets its tag.
 *
 *     kernel --[ mesh-tap: frames with a tag ]-- TaggedLinks --[ SleevePath ]-- UDP
 */
import type { PortNo, Vport } from "../wire/netlink/ovs_keys.ts";
import { VIRTIO_HEADER } from "../wire/packet/virtio_net.ts";
import type { DatapathEffect } from "../overlay/ports/datapath_port.ts";
import {
  SLEEVE_HEADROOM,
  type SleeveCounts,
  type SleevePort,
  type TakePacket,
} from "../overlay/ports/sleeve_port.ts";
import type { TapPort } from "../overlay/ports/tap_port.ts";
import { putTag, SleeveTags, takeTag } from "./sleeve_tags.ts";

/** What user space carries frames with. The datapath owns all of it; disposing of it is for when the path was not
 * opened. */
export interface UserSpace extends Disposable {
  readonly tap: TapPort;
  /** Opens the links' end; packets that come over them go to `take`. */
  readonly openPath: (take: TakePacket) => SleevePort;
}

/** See the module's head. One thread, synchronous. */
export class TaggedLinks implements Disposable {
  /** Which tag stands for what. */
  readonly tags = new SleeveTags();
  /** The links' end. */
  readonly path: SleevePort;
  /** Frames that went nowhere. */
  readonly dropped = { untagged: 0, unknownTag: 0, noTag: 0, kernelRefused: 0 };
  readonly #tap: TapPort;

  constructor({ openPath, tap }: Pick<UserSpace, "openPath" | "tap">) {
    this.#tap = tap;
    this.path = openPath(this.#take);
  }

  /** Sends the frame that was read into the TAP's buffer over the link of its tag. `to`: where it ends there. */
  send(to: number): void {
    const { buffer } = this.#tap;
    const tag = takeTag(buffer, 0, to);
    const key = tag === 0 ? undefined : this.tags.keyOf(tag);
    if (key === undefined) this.dropped[tag === 0 ? "untagged" : "unknownTag"]++;
    else {
      const broadcast = (buffer[SLEEVE_HEADROOM + VIRTIO_HEADER]! & 1) !== 0;
      this.path.send(key, buffer, { from: SLEEVE_HEADROOM, to, broadcast });
    }
  }

  readonly #take: TakePacket = (key, bytes, from, to) => {
    const tag = this.tags.tagOf(key);
    if (tag === 0) return void this.dropped.noTag++;
    putTag(bytes, from, tag);
    this.write(bytes, from - SLEEVE_HEADROOM, to);
  };

  /** Gives the kernel a packet with its virtio header and tag. */
  write(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    if (!this.#tap.write(bytes, from, to)) this.dropped.kernelRefused++;
  }

  /** Counts of the links' end and of this one. */
  counts(): SleeveCounts {
    const counts = this.path.counts();
    const { kernelRefused, noTag, unknownTag, untagged } = this.dropped;
    const mine = { untagged, "unknown-tag": unknownTag, "no-tag": noTag, "kernel-refused": kernelRefused };
    return { ...counts, dropped: { ...counts.dropped, ...mine } };
  }

  /** Closes the links' end and the TAP. */
  [Symbol.dispose](): void {
    this.path[Symbol.dispose]();
    this.#tap[Symbol.dispose]();
  }
}

type Execution = Extract<DatapathEffect, { readonly kind: "execute" }>;

/** The part of an order to send a frame that the kernel carries out. A tunnel packet with DF is sent through the socket of user
 * space instead: a stranger's ICMP message may have made the kernel believe that the route is too small for it, and then the
 * kernel's tunnel would refuse it. Where there is no user space, the kernel sends it without DF. */
export function leftForKernel(
  order: Execution,
  user: { readonly path: Pick<SleevePort, "sendTunnelled"> } | undefined,
  ports: ReadonlyMap<PortNo, Vport>,
): Execution | undefined {
  const [action] = order.actions;
  if (action?.kind !== "tunnel" || action.df !== true) return order;
  const { kind, port, tunnel } = action;
  const udpPort = ports.get(port)?.udpPort;
  if (user === undefined || udpPort === undefined) return { ...order, actions: [{ kind, port, tunnel }] };
  user.path.sendTunnelled(order.frame, { tunnel, udpPort });
  return undefined;
}
