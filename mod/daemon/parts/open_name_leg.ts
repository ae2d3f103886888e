/** Where containers reach this host's name server. */
import { inNetns, newNetns } from "../../../ffi/netns.ts";
import { messageOf } from "../../core/errors.ts";
import { NAME_SERVER_IP } from "../../core/name_leg.ts";
import type { Ip } from "../../core/addr.ts";
import { NameLeg } from "../../datapath/name_leg_shell.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import type { PortProgram } from "../../overlay/ports/dataplane_messages.ts";
import { openSwitchPorts } from "../host/switch_ports.ts";
import type { Config } from "../config/config.ts";
import type { Base } from "./open_base.ts";
import type { Host } from "./open_host.ts";

/** Where a name server listens for containers: it makes its sockets inside this network namespace, with inNetns(). The
 * source address of a query is that of the container; answers go back by themselves. */
export interface NameListen {
  readonly netns: string;
  readonly ip: Ip;
  readonly port: number;
}

/** The leg while it is kept. Disposing it takes it out of the network. */
export interface NameLegPart extends Disposable {
  /** undefined: there is none, and why is in `problem` and in the log. */
  readonly listen: NameListen | undefined;
  /** Puts right what others have changed. */
  keep(): void;
  /** Why containers do not reach the name server, a sentence without full stop. */
  readonly problem: string | undefined;
}

const NO_LEG: NameLegPart = { listen: undefined, problem: undefined, keep() {}, [Symbol.dispose]() {} };

/** Makes the leg, where there are names; else it removes that of an earlier run. Does not throw: the rest of the daemon
 * works without it. */
export function openNameLeg(
  config: Pick<Config, "dns">,
  { base: { logger }, host: { choice: { kind } }, mtu, portProgram }: {
    readonly base: Pick<Base, "logger">;
    readonly host: Host;
    readonly mtu: number;
    readonly portProgram: PortProgram | undefined;
  },
): NameLegPart {
  using undo = new DisposableStack();
  let problem: string | undefined;
  const failed = (thrown: unknown) => {
    const reason = messageOf(thrown);
    if (reason !== problem) logger.warn("containers do not reach this host's name server", { reason });
    problem = reason;
  };
  let leg: NameLeg;
  let netns: string;
  try {
    netns = undo.use(newNetns()).path;
    const sysctl = new ProcSysctl(inNetns);
    leg = undo.use(
      new NameLeg({
        ...{ mtu, bridge: kind !== "ovs", pid: Deno.pid },
        ports: openSwitchPorts(kind, undo, portProgram),
        host: undo.use(openNetlinkIn({ protocol: "route" })),
        inside: openNetlinkIn({ protocol: "route", netns }),
        write(key, value, where) {
          const namespace = where === "host" ? undefined : netns;
          if (sysctl.read(namespace, key) !== undefined) sysctl.write(namespace, key, value);
        },
      }),
    );
    leg.remove(); // what a daemon left that was killed just now
    if (config.dns === undefined) return NO_LEG;
  } catch (thrown) {
    failed(thrown);
    return { listen: undefined, problem, keep() {}, [Symbol.dispose]() {} };
  }
  let ended = false;
  const keep = () => {
    if (ended) return; // news of the switch may come while the daemon ends
    try {
      leg.keep();
      problem = undefined;
    } catch (thrown) {
      failed(thrown);
    }
  };
  keep();
  const held = undo.move();
  return {
    listen: { netns, ip: NAME_SERVER_IP, port: 53 },
    get problem() {
      return problem;
    },
    keep,
    [Symbol.dispose]() {
      ended = true;
      held[Symbol.dispose]();
    },
  };
}
