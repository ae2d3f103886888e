/** One link in the user-space engine: its carrier, where to send, how to seal, and the names of its traffic. */
import type { LinkId } from "../core/overlay_port.ts";
import type { Endpoint } from "../core/addr.ts";
import type { SleeveKey } from "../wire/netlink/ovs_keys.ts";
import { MAX_PAYLOAD, PARTIAL_FLAG, type PeerNumber, peerNumber } from "../wire/mesh/sleeve.ts";
import type { Vni } from "../wire/packet/vxlan.ts";
import type { LinkUse, SleeveCarrier } from "../overlay/ports/sleeve_port.ts";
import { GCM_LIMITS, SealedLink, type SleeveCiphers } from "./sleeve_seal.ts";
import type { SleeveSocket, SocketPeer } from "./sleeve_socket.ts";

/** Pairs of peers remembered for a link; then they are remembered anew. */
const KEYS = 4_096;

/** What the engine knows of a link. */
export class EngineLink {
  readonly id: LinkId;
  readonly peer: PeerNumber;
  /** Both directions' ciphers; undefined: in clear. */
  readonly sealed: SealedLink | undefined;
  /** Whether frames may travel with partial checksums. */
  readonly extended: boolean;
  /** What the core wants to know of the traffic. */
  readonly use: LinkUse;
  readonly #socket: SleeveSocket;
  readonly #keys = new Map<number, SleeveKey>();
  /** Whether it was told that another key is needed. */
  usedUpTold = false;
  #remote: Endpoint | undefined;
  #target: SocketPeer | undefined;

  /** Throws when the link's cipher cannot be had. */
  constructor(readonly carrier: SleeveCarrier, socket: SleeveSocket, ciphers: SleeveCiphers) {
    this.id = carrier.link;
    this.peer = peerNumber(carrier.peer);
    this.extended = carrier.extensions.partial;
    this.use = carrier.use;
    this.#socket = socket;
    this.sealed = sealedLinkOf(carrier, ciphers);
  }

  /** Where to send to; undefined: not known yet, or out of the socket's reach. */
  get target(): SocketPeer | undefined {
    const { remote } = this.carrier;
    if (remote !== this.#remote) {
      this.#remote = remote;
      this.#target = remote === undefined ? undefined : this.#socket.peer(remote, this.carrier.local);
    }
    return this.#target;
  }

  /** Octets to which packets are filled. */
  get limit(): number {
    return Math.min(this.carrier.maxPayload, this.extended ? PARTIAL_FLAG - 1 : MAX_PAYLOAD);
  }

  /** The one object for traffic of this identity. */
  key(id: Vni): SleeveKey {
    let key = this.#keys.get(id);
    if (key !== undefined) return key;
    if (this.#keys.size === KEYS) this.#keys.clear();
    this.#keys.set(id, key = { link: this.id, id });
    return key;
  }
}

function sealedLinkOf(carrier: SleeveCarrier, ciphers: SleeveCiphers): SealedLink | undefined {
  const { protection, outbound } = carrier;
  if (protection.kind === "clear") return undefined;
  if (!carrier.extensions.gcm) return new SealedLink(ciphers.secretbox(protection.sessionKey), outbound);
  const gcm = ciphers.gcm(protection.sessionKey, outbound);
  if (gcm === undefined) throw new TypeError("Cannot seal with AES-256-GCM, which was agreed on");
  return new SealedLink(gcm, outbound, GCM_LIMITS);
}
