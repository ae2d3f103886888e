/** This host's kernel: checked before anything changes, the datapath chosen, the network namespace held. */
import { interfaceIndex } from "../../../ffi/process.ts";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import { listLinks } from "../../attach/mod.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import { decodeRoute, dumpRoutes, type Link } from "../../wire/netlink/rtnetlink.ts";
import { type Check, refuseFaults } from "../checks.ts";
import { missingCapabilities, ownStatus } from "../checks/capabilities.ts";
import { unsafeFolder } from "../checks/folders.ts";
import { tooFewOpenFiles, tooFewThreads } from "../checks/limits.ts";
import { routerAnswers } from "../checks/other_router.ts";
import { type HostRoute, overlappingRoute } from "../checks/routes.ts";
import { tcpPortTaken, udpPortTaken } from "../checks/ports.ts";
import { chooseDatapath, type DatapathChoice } from "../host/choose_datapath.ts";
import { claimNamespace } from "../host/claim_namespace.ts";
import type { Config } from "../config/config.ts";
import { whyNoEbpf } from "../host/ebpf_host.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH, findOvs } from "../host/ovs_host.ts";
import type { Base } from "./open_base.ts";

/** Type of a route that leads to hosts (RTN_UNICAST). */
const UNICAST = 1;

/** The host, as found. Disposing it lets go of the namespace. */
export interface Host extends Disposable {
  /** Which datapath and overlays, and why not the better ones. */
  readonly choice: DatapathChoice;
  /** Opens a socket of rtnetlink in this namespace, or in another one by its path. The caller owns it. */
  openRoute(netns?: string): NetlinkSocket;
}

/** Checks and chooses; changes nothing. Throws the MeshnetError of the first check that fails. */
export async function openHost(config: Config, { logger }: Pick<Base, "logger">): Promise<Host> {
  using undo = new DisposableStack();
  let choice: DatapathChoice | undefined;
  await refuseFaults(hostChecks(config, (chosen) => choice = chosen));
  const { squatter } = undo.use(claimNamespace(DATAPATH));
  if (squatter !== undefined) {
    logger.warn("a program of another user poses as a router", {
      pid: squatter.pid,
      uid: squatter.uid ?? undefined,
    });
  }
  const held = undo.move();
  return { choice: choice!, openRoute, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

/** All checks, the cheapest first. `chosen` is told which datapath the host can have. */
function hostChecks(config: Config, chosen: (choice: DatapathChoice) => void): readonly Check[] {
  let userSpace = false;
  return [
    { name: "rights of this process", find: () => missingCapabilities(ownStatus()) },
    { name: "open files", find: () => tooFewOpenFiles() },
    { name: "threads", find: () => tooFewThreads() },
    { name: "run folder", find: () => unsafeFolder(config.runDir, "--run-dir") },
    { name: "state folder", find: () => unsafeFolder(config.stateDir, "--state-dir") },
    { name: "another router at the run folder", find: () => routerAnswers(config.runDir) },
    { name: "TCP port", find: () => tcpPortTaken(config) },
    {
      name: "datapath",
      find() {
        const choice = chooseDatapath(config, {
          findOvs: findOvsHere,
          whyNoEbpf,
          present: namesake(),
          tun: hasTun(),
        });
        userSpace = choice.overlays.includes("sleeve");
        chosen(choice);
      },
    },
    {
      name: "range of addresses",
      find: () => config.ipam && overlappingRoute(config.ipam.universe.cidr, routesHere()),
    },
    {
      name: "UDP port",
      find: () => userSpace ? udpPortTaken(config, () => UdpSocket.open(config)) : undefined,
    },
  ];
}

function findOvsHere(): void {
  using generic = openNetlinkIn({ protocol: "generic" });
  findOvs(generic, interfaceIndex);
}

function openRoute(netns?: string): NetlinkSocket {
  return openNetlinkIn(netns === undefined ? { protocol: "route" } : { protocol: "route", netns });
}

/** The routes of this host that lead elsewhere than into the network of an earlier run. */
function routesHere(): readonly HostRoute[] {
  using socket = openRoute();
  const names = new Map(listLinks(socket).map(({ index, name }) => [index, name]));
  return socket.request(dumpRoutes()).flatMap((reply) => {
    const route = decodeRoute(reply);
    if (!route.ok || route.value.type !== UNICAST) return [];
    const [name] = route.value.interfaces.map((index) => names.get(index) ?? `interface ${index}`);
    return name === DATAPATH ? [] : [{ destination: route.value.destination, interface: name ?? "itself" }];
  });
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
