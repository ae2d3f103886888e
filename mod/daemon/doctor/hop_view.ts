/** What this host knows of a way: for its own people, and for other hosts that ask. */
import type { Attachments } from "../../attach/mod.ts";
import { type Ip, type Mac, parseCidr, parseMac } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { HopAnswer, HopEnd, HopLink, HopQuestion } from "../../doctor/hop_messages.ts";
import { PATH_EXTENSION } from "../../doctor/hop_messages.ts";
import type { Router } from "../../mesh/router_shell.ts";
import type { FlowCount } from "../../overlay/ports/frame_view.ts";
import { EXTENSION } from "../../overlay/ports/sleeve_port.ts";
import { endAt, type UserHere } from "../addresses/taken_addresses.ts";
import type { DataplaneHandle } from "../threads/dataplane_client.ts";

/** The MAC address that nobody has. */
const NOBODY = 0 as Mac;

/** What is looked at. */
export interface HopParts {
  readonly self: PeerName;
  readonly nickname: string;
  readonly router: Pick<Router, "announces" | "connectionTo" | "nextHop">;
  readonly dataplane: Pick<DataplaneHandle, "explain">;
  readonly attachments: Pick<Attachments, "list">;
  /** Everybody in the network on this host. */
  readonly here: () => readonly UserHere[];
  /** What our overlays understand beyond the protocol. */
  readonly extensions: readonly string[];
}

/** Looks at this host. */
export async function lookHere(question: HopQuestion, parts: HopParts): Promise<HopAnswer> {
  const { dataplane, nickname, router, self } = parts;
  const { dst, from, id, ip, src, to } = question;
  const next = to === null || to === self ? null : router.nextHop(to) ?? null;
  const mac = (text: string | null) => text === null ? undefined : parseMac(text);
  const view = await dataplane.explain({
    ...{ src: mac(src), dst: mac(dst), from: from ?? undefined, to: to ?? undefined },
  });
  return {
    ...{ id, nickname, clock: Date.now(), next },
    nextKnows: next !== null && router.announces(next, PATH_EXTENSION),
    link: next === null ? null : linkTo(next, parts),
    port: view.port ?? null,
    dropped: view.dropped ?? null,
    out: view.out,
    there: packets(view.there),
    back: packets(view.back),
    end: ip === null ? null : endFor(question, parts),
  };
}

function packets({ flows, packets }: FlowCount): number {
  return flows === 0 ? -1 : packets;
}

function linkTo(peer: PeerName, { extensions, router }: HopParts): HopLink {
  const found = router.connectionTo(peer);
  const gcm = extensions.includes(EXTENSION.gcm) && router.announces(peer, EXTENSION.gcm);
  const cipher = found?.encrypted !== true
    ? null
    : found.overlay === "fastdp"
    ? "ESP with AES-256-GCM"
    : gcm
    ? "AES-256-GCM"
    : "NaCl secretbox";
  return {
    overlay: found?.overlay ?? null,
    cipher,
    mtu: found?.mtu ?? null,
    rttMs: found?.rttMs === undefined ? null : Math.round(found.rttMs * 1000) / 1000,
    address: found?.address ?? null,
    info: found?.info ?? "there is no connection",
  };
}

/** Who is asked for: by a MAC address, where this host alone is asked and that is given, or else by the address. */
function endFor({ dst, from, ip, to }: HopQuestion, { attachments, here }: HopParts): HopEnd | null {
  const mac = to === null && from === null && dst !== null ? parseMac(dst) : undefined;
  if (mac !== undefined) return endAt(here(), ip as Ip, mac) ?? null;
  return endOf(ip as Ip, attachments) ?? endAt(here(), ip as Ip, NOBODY) ?? null;
}

/** What is attached here with an address. */
export function endOf(ip: Ip, attachments: Pick<Attachments, "list">): HopEnd | null {
  const found = attachments.list().find(({ addresses }) =>
    addresses.some((text) => parseCidr(text)?.ip === ip)
  );
  if (found === undefined) return null;
  const { attached, mac, name, problem, target } = found;
  return { target, name, mac, problem: problem ?? (attached ? null : "it is not there") };
}
