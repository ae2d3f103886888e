/** This host's kernel: checked before anything changes, the datapath chosen, the network namespace held. */
import { interfaceIndex } from "../../../ffi/process.ts";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import { listLinks } from "../../attach/mod.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import type { Link } from "../../wire/netlink/rtnetlink.ts";
import { chooseDatapath, type DatapathChoice } from "../choose_datapath.ts";
import type { Config } from "../config.ts";
import { openNetlinkIn } from "../netlink.ts";
import { DATAPATH, findOvs } from "../ovs_host.ts";
import { claimNamespace, preflight } from "../preflight.ts";

/** The host, as found. Disposing it lets go of the namespace. */
export interface Host extends Disposable {
  /** Which datapath and overlays, and why not the better ones. */
  readonly choice: DatapathChoice;
  /** Opens a socket of rtnetlink in this namespace, or in another one by its path. The caller owns it. */
  openRoute(netns?: string): NetlinkSocket;
}

/** Checks and chooses; changes nothing. Throws the MeshnetError of the first check that fails. */
export async function openHost(config: Config): Promise<Host> {
  using undo = new DisposableStack();
  let choice: DatapathChoice | undefined;
  await preflight({
    ...config,
    probeDatapath: () => {
      const findOvsHere = () => {
        using generic = openNetlinkIn({ protocol: "generic" });
        findOvs(generic, interfaceIndex);
      };
      choice = chooseDatapath(config, { findOvs: findOvsHere, present: namesake(), tun: hasTun() });
      return { userSpace: choice.overlays.includes("sleeve") };
    },
    openUdp: () => UdpSocket.open({ host: config.host, port: config.port }),
  });
  undo.use(claimNamespace(DATAPATH));
  const held = undo.move();
  return { choice: choice!, openRoute, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

function openRoute(netns?: string): NetlinkSocket {
  return openNetlinkIn(netns === undefined ? { protocol: "route" } : { protocol: "route", netns });
}

/** The interface that has the datapath's name now. */
function namesake(): Link | undefined {
  using socket = openRoute();
  return listLinks(socket).find((link) => link.name === DATAPATH);
}

function hasTun(): boolean {
  try {
    return Deno.statSync("/dev/net/tun").isCharDevice === true;
  } catch {
    return false;
  }
}
