/** The checks of the host itself: what `up` refuses to start without, and what the doctor looks at besides. */
import { interfaceIndex } from "../../../ffi/process.ts";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import { listLinks } from "../../attach/mod.ts";
import type { Cidr } from "../../core/addr.ts";
import type { MeshnetError } from "../../core/errors.ts";
import type { Link } from "../../wire/netlink/rtnetlink.ts";
import type { Check, Finding } from "../checks.ts";
import type { Config } from "../config/config.ts";
import { chooseDatapath, type DatapathChoice } from "../host/choose_datapath.ts";
import { whyNoEbpf } from "../host/ebpf_host.ts";
import { hostRoutes } from "../host/host_routes.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH, findOvs } from "../host/ovs_host.ts";
import { missingCapabilities, processStatus } from "./capabilities.ts";
import { unsafeFolder } from "./folders.ts";
import { descriptorUse, tooFewLeft, tooFewOpenFiles, tooFewThreads } from "./limits.ts";
import { routerAnswers } from "./other_router.ts";
import { namePortTaken, tcpPortTaken, udpPortTaken, withOwner } from "./ports.ts";
import { hiddenByRange, overlappingRoute } from "./routes.ts";

/** What the checks are made with. */
export interface HostCheckOptions {
  /** Is told which datapath the host can have. */
  readonly chosen?: (choice: DatapathChoice) => void;
  /** The daemon, if it is not this process. */
  readonly pid?: number | undefined;
}

/** All of them, the cheapest first. */
export function hostChecks(
  config: Config,
  { chosen = () => {}, pid }: HostCheckOptions = {},
): readonly Check[] {
  let userSpace = false;
  return [
    {
      name: "rights of this process",
      at: ["start", "stopped", "running"],
      find: () => missingCapabilities(processStatus(pid)),
    },
    { name: "open files", at: ["start", "stopped"], find: () => tooFewOpenFiles() },
    { name: "open files left", at: ["running"], find: () => tooFewLeft(descriptorUse(pid)) },
    { name: "threads", at: ["start", "stopped"], find: () => tooFewThreads() },
    {
      name: "run folder",
      at: ["start", "stopped", "running"],
      find: () => unsafeFolder(config.runDir, "--run-dir"),
    },
    {
      name: "state folder",
      at: ["start", "stopped", "running"],
      find: () => unsafeFolder(config.stateDir, "--state-dir"),
    },
    {
      name: "room on the disk",
      at: ["stopped", "running"],
      async find() {
        const { diskRoom, tooLittleRoom, writeProtected } = await import("./disk.ts"); // no start shall load it
        return tooLittleRoom(config.stateDir, diskRoom(config.stateDir)) ?? writeProtected(config.stateDir);
      },
    },
    {
      name: "another router at the run folder",
      at: ["start"],
      find: () => routerAnswers(config.runDir),
    },
    { name: "TCP port", at: ["start"], find: () => tcpPortTaken(config) },
    { name: "TCP port", at: ["stopped"], find: () => withOwner(tcpPortTaken(config), config.port) },
    {
      name: "datapath",
      at: ["start", "stopped"],
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
      at: ["start"], // a daemon that runs tells it as a problem of its status
      find: async () => (await rangeTrouble(config)).fault,
    },
    {
      name: "range of addresses",
      at: ["stopped"],
      async find() {
        const { fault, hidden } = await rangeTrouble(config);
        return fault ?? hidden;
      },
    },
    {
      name: "UDP port",
      at: ["start", "stopped"],
      find: () => userSpace ? udpPortTaken(config, () => UdpSocket.open(config)) : undefined,
    },
    {
      name: "file of other name servers",
      at: ["stopped", "running"],
      async find() {
        const { unreadableResolvConf } = await import("./resolv_conf.ts"); // no start shall load it
        return config.dns && unreadableResolvConf(config.dns.resolvConf);
      },
    },
    {
      name: "port of names",
      at: ["stopped"],
      async find() {
        const all = (config.dns?.listen ?? []).map(({ ip, port }) =>
          namePortTaken({ host: ip, port }, () => UdpSocket.open({ host: ip, port }))
        );
        return (await Promise.all(all)).filter((one) => one !== undefined);
      },
    },
  ];
}

/** Whether routes of this host lead to addresses of the range: a fault (`fault`) unless it gave such addresses out before
 * (`hidden`). `uses` says whether it did; by default the state of a stopped daemon does. */
export async function rangeTrouble(
  { ipam, stateDir }: Pick<Config, "ipam" | "stateDir">,
  uses?: (range: Cidr) => Promise<boolean>,
): Promise<{ readonly fault?: MeshnetError; readonly hidden?: Finding }> {
  if (ipam === undefined) return {};
  const range = ipam.universe.cidr;
  const routes = hostRoutes();
  const fault = overlappingRoute(range, routes);
  if (fault === undefined) return {};
  const { usedRange } = await import("./used_range.ts"); // no start without such a route shall load it
  const isUsed = uses === undefined ? usedRange(range, stateDir) : await uses(range);
  const hidden = hiddenByRange(range, routes);
  return isUsed && hidden !== undefined ? { hidden } : { fault };
}

function findOvsHere(): void {
  using generic = openNetlinkIn({ protocol: "generic" });
  findOvs(generic, interfaceIndex);
}

/** The interface that has the datapath's name now. */
function namesake(): Link | undefined {
  using socket = openNetlinkIn({ protocol: "route" });
  return listLinks(socket).find((link) => link.name === DATAPATH);
}

function hasTun(): boolean {
  try {
    return Deno.statSync("/dev/net/tun").isCharDevice === true;
  } catch {
    return false;
  }
}
