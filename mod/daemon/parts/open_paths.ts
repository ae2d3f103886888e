/** Ways through the mesh: other hosts may ask about them, and people here. */
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { findTarget, listLinks, parseAttachTarget } from "../../attach/mod.ts";
import type { PeerName } from "../../core/names.ts";
import { PATH_EXTENSION } from "../../doctor/hop_messages.ts";
import { formatMac } from "../../core/addr.ts";
import type { TakenPart } from "./open_taken.ts";
import type { AddressUsers } from "../addresses/address_users.ts";
import type { Config } from "../config/config.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { PathChannel } from "../doctor/path_channel.ts";
import type { PathParts } from "../doctor/paths.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { LoadedDataplane, RunningDataplane } from "./open_dataplane.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";

/** Registers the channel. The result is what following a way needs, but for names. */
export function openPaths(
  config: Pick<Config, "nickname">,
  {
    attached: { attachments },
    base: { clock, faults },
    dataplane,
    mesh: { router },
    running,
    state,
    taken,
    users,
  }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly dataplane: LoadedDataplane;
    readonly mesh: RouterPart;
    readonly running: RunningDataplane;
    readonly state: State;
    readonly taken: TakenPart;
    readonly users: AddressUsers;
  },
): Omit<PathParts, "left" | "lookUp" | "ownerOf"> {
  const { name: self } = state.identity;
  const { nickname } = config;
  const look: PathParts["look"] = async (question) => {
    const { lookHere } = await import("../doctor/hop_view.ts"); // no start shall load it
    const { extensions } = running;
    return await lookHere(question, {
      ...{ self, nickname, router, dataplane: dataplane.handle, attachments, extensions, here: taken.here },
    });
  };
  const channel = new PathChannel({
    ...{ clock, faults, look },
    send: (peer, payload) => router.unicast(channel.name, peer, payload),
    taken: (ip) => taken.addresses.told(ip),
  });
  const knows = (peer: PeerName) => router.announces(peer, PATH_EXTENSION);
  taken.others.askAt = async (peer, ip, mac) => {
    if (!knows(peer)) return undefined;
    const question = { to: null, from: null, src: null, dst: formatMac(mac), ip };
    return (await channel.ask(peer, question))?.answer.end;
  };
  taken.others.tell = (peer, ip) => {
    if (knows(peer)) channel.tellTaken(peer, ip);
  };
  router.register(channel);
  const pause = (ms: number) =>
    new Promise<void>((resolve) => void setTimeout(faults.guard("follow a way", () => resolve()), ms));
  return {
    ...{ self, nickname, channel, look, users, attachments, sendFrames },
    members: () => taken.engine.here(),
    interfaceOf(netns, mac) {
      using socket = openNetlinkIn({ protocol: "route", netns });
      return listLinks(socket).find((link) => link.mac === mac)?.name;
    },
    peers: () => router.snapshot().peers,
    knows,
    namespaceOf: (target) => findTarget(parseAttachTarget(target), attachments.adapters.probe)?.path,
    pause,
    async answersAfter(netns, ip) {
      const { answersAfter } = await import("../doctor/knock.ts"); // no start shall load it
      return await answersAfter(netns, ip, pause);
    },
    async wayOut(netns, ip) {
      const { wayOutOf } = await import("../doctor/knock.ts"); // no start shall load it
      return wayOutOf(netns, ip);
    },
  };
}
