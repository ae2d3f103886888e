/** What a link is made of: a forwarder for each overlay, and how user space sees it. */
import { isIpv4 } from "../../core/addr.ts";
import { assertNever } from "../../core/brand.ts";
import type { OverlayName } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import { announcedMtu } from "../ports/dataplane_types.ts";
import { FAST_EXTENSION } from "../ports/esp_port.ts";
import { EspSession } from "./esp_session.ts";
import { FastdpLink } from "./fastdp_link.ts";
import { BlockedForwarder, type Forwarder } from "./forwarder.ts";
import { LinkSwitch } from "./link_switch.ts";
import type { OverlayLink, PrepareRequest, Slot } from "./overlay_link.ts";
import { type SleeveEvent, SleeveLink } from "./sleeve_link.ts";
import { EXTENSION, type SleeveCarrier, type SleeveNews } from "../ports/sleeve_port.ts";

/** What the table must know of this host. */
export interface OverlayLinksOptions {
  /** MTU of the datapath's own interface. */
  readonly mtu: number;
  /** Our main VXLAN port. */
  readonly vxlanPort: number;
  /** Our overlays, in the order in which they are advertised. */
  readonly overlays: readonly OverlayName[];
  /** Why fastdp is not among them, for people. */
  readonly noFastdp: string | undefined;
  /** What our overlays understand beyond the protocol. */
  readonly extensions: readonly string[];
}

/** Why fastdp is not among the overlays of a link, for people; undefined: it is. */
function fastdpAbsence(
  ours: { readonly overlays: readonly OverlayName[]; readonly noFastdp: string | undefined },
  theirs: readonly string[] | undefined,
): string | undefined {
  if (!ours.overlays.includes("fastdp")) return ours.noFastdp ?? "this host has no fastdp";
  return theirs?.includes("fastdp") === true ? undefined : "the peer does not offer fastdp";
}

/** A link that carries nothing yet, over the overlays that both ends have. */
export function makeLink(
  request: PrepareRequest,
  common: readonly OverlayName[],
  options: OverlayLinksOptions,
): OverlayLink {
  const { extensions, mtu, vxlanPort } = options;
  const udpPort = request.outbound ? request.remote.port + 1 : vxlanPort;
  const made = { udpPort, mtu, extensions, port: vxlanPort - 1 };
  const slots = common.map((overlay) => forwarderOf(overlay, request, made));
  return {
    id: request.link,
    request,
    udpPort,
    switch: new LinkSwitch(slots, {
      sealed: request.protection.kind === "sealed",
      bare: request.theirOverlays === undefined,
      noFastdp: fastdpAbsence(options, request.theirOverlays),
    }),
    fastdp: slotOf(slots, FastdpLink),
    sleeve: slotOf(slots, SleeveLink),
    confirmed: false,
    told: "",
    peerMtu: announcedMtu(request.extensions),
    seenAt: request.remote.ip,
    likely: false,
  };
}

/** The forwarder of an overlay on a link. */
function forwarderOf(
  overlay: OverlayName,
  request: PrepareRequest,
  { udpPort, mtu, extensions, port }: {
    readonly udpPort: number;
    readonly mtu: number;
    /** Our UDP port of user space. */
    readonly port: number;
    /** What our overlays understand beyond the protocol. */
    readonly extensions: readonly string[];
  },
): Forwarder {
  const { local, remote, protection, connUid, link, outbound } = request;
  if (overlay === "sleeve") {
    const sealed = protection.kind === "sealed";
    const beat = bothOf(request, extensions)(EXTENSION.beat);
    const ipv6 = !isIpv4(remote.ip);
    return new SleeveLink({ link, connUid, outbound, remote, port, mtu, sealed, ipv6, beat });
  }
  const both = bothOf(request, extensions);
  if (!isIpv4(remote.ip) && !both(FAST_EXTENSION.ipv6)) {
    const reason = `the peer's fastdp tunnels run over IPv4 only, and this connection uses ${remote.ip}: ` +
      "connect to the peer by an IPv4 address";
    return new BlockedForwarder(overlay, reason);
  }
  if (udpPort > 65_535) {
    const reason = `the peer's mesh port ${remote.port} leaves no room for its VXLAN port: ` +
      "let it use a lower --port";
    return new BlockedForwarder(overlay, reason);
  }
  const path = { local, remote: remote.ip, port: udpPort };
  const esp = protection.kind === "clear" ? undefined : new EspSession({
    ...{ link, path, peer: request.peer, sessionKey: protection.sessionKey },
    rekey: both(FAST_EXTENSION.rekey),
  });
  const beat = both(FAST_EXTENSION.beat);
  const here = both(FAST_EXTENSION.here);
  return new FastdpLink({ connUid, local, remote: remote.ip, udpPort, mtu, esp, beat, here });
}

/** Tells whether both ends understand an extension. */
function bothOf(request: PrepareRequest, ours: readonly string[]): (extension: string) => boolean {
  return (extension) => ours.includes(extension) && request.extensions.includes(extension);
}

/** The forwarder of a kind among the slots of a link. */
function slotOf<F extends Forwarder>(
  slots: readonly Forwarder[],
  kind: abstract new (...args: never[]) => F,
): Slot<F> | undefined {
  const slot = slots.findIndex((forwarder) => forwarder instanceof kind);
  return slot < 0 ? undefined : { forwarder: slots[slot] as F, slot };
}

/** What a link makes of news of user space: what follows, or why the connection must end. */
export function takeNews(sleeve: SleeveLink, news: SleeveNews, now: Millis): readonly SleeveEvent[] | string {
  switch (news.kind) {
    case "special":
      return sleeve.received(news.frame, news.source, now);
    case "traffic":
      return sleeve.trafficBegins(now);
    case "too-big":
      return sleeve.tooBig(news, now);
    case "key-used-up":
      return "the key of this connection has sealed as many packets as it may: a new one gets another";
    default:
      return assertNever(news);
  }
}

/** A link as user space sees it. */
export function carrierOf(
  request: PrepareRequest,
  sleeve: SleeveLink,
  ours: readonly string[],
): SleeveCarrier {
  const { link, peer, local, outbound, protection } = request;
  const both = bothOf(request, ours);
  return {
    ...{ link, peer, local, outbound, protection },
    extensions: { partial: both(EXTENSION.partial), gcm: both(EXTENSION.gcm) },
    get remote() {
      return sleeve.remote;
    },
    get mtu() {
      return sleeve.mtu;
    },
    get unsettled() {
      return sleeve.unsettled;
    },
    get maxPayload() {
      return sleeve.maxPayload;
    },
    use: sleeve.use,
    carried: () => sleeve.carried(),
    heard: (now) => sleeve.heard(now),
    channel: (frame) => sleeve.channel(frame),
  };
}
