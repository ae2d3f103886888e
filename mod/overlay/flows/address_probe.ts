/** Asks the network whether anybody uses an IPv4 address (RFC 5227), without an interface to ask from. */
import type { Ip, Mac } from "../../core/addr.ts";
import { arpProbe, decodeArp } from "../../wire/packet/arp.ts";
import type { FlowAction, Miss } from "../../wire/netlink/ovs_keys.ts";
import { vniSource } from "../../wire/packet/vxlan.ts";
import type { AddressUse } from "../ports/dataplane_types.ts";
import { everybody, type ForwardContext, identityOf } from "./forward.ts";

/** The questions. Their sender is at no port: answers to it are known by its MAC address, and go nowhere. */
export class AddressProbe {
  #mac: Mac | undefined;

  /** Whether frames to this address are answers. */
  isFor(destination: Mac | undefined): boolean {
    return destination !== undefined && destination === this.#mac;
  }

  /** A question for everybody, in the name of `mac`: nobody else may have that. */
  question(ip: Ip, mac: Mac, context: ForwardContext): { frame: Uint8Array; actions: readonly FlowAction[] } {
    this.#mac = mac;
    return { frame: arpProbe(mac, ip), actions: everybody(context) };
  }

  /** What an answer says; undefined: nothing. */
  use({ frame, key }: Miss, { network }: ForwardContext): AddressUse | undefined {
    const packet = decodeArp(frame);
    if (packet?.operation !== "reply") return undefined;
    const id = identityOf(key);
    const peer = id === undefined ? undefined : network.nameOf(vniSource(id));
    return { ip: packet.senderIp, mac: packet.senderMac, here: id === undefined, peer };
  }
}
