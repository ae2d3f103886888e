/** What is to be said of a daemon that is there and does not answer. */
import { MeshnetError } from "../../core/errors.ts";
import { processStatus } from "../checks/capabilities.ts";
import { routerProcess } from "../host/claim_namespace.ts";
import { DATAPATH } from "../host/ovs_host.ts";

/** Names the process, why it does not answer as far as the system says, and the command that mends it. */
export function hungDaemon(seconds: number): MeshnetError {
  const pid = routerProcess(DATAPATH);
  return hungProcess(pid, { seconds, status: pid === undefined ? undefined : processStatus(pid) });
}

/** The same, by what /proc/PID/status says. */
export function hungProcess(
  pid: number | undefined,
  { seconds, status }: { readonly seconds: number; readonly status: string | undefined },
): MeshnetError {
  const code = "control/request-failed";
  const late = `does not answer within ${seconds} s`;
  if (pid === undefined) {
    return new MeshnetError(code, `The daemon ${late}, and its process cannot be seen from here`, {
      hint: "Look at its log; containers keep talking meanwhile. If it hangs: `systemctl restart meshnet`",
    });
  }
  const state = /^State:\s*(\S)/m.exec(status ?? "")?.[1];
  if (state === "T" || state === "t") {
    return new MeshnetError(
      code,
      `The daemon (process ${pid}) ${late}: a signal or a debugger has stopped it`,
      {
        hint: `Let it go on: \`kill -CONT ${pid}\``,
      },
    );
  }
  const why = state === "D" ? ": it waits for the kernel or a disk" : "";
  return new MeshnetError(code, `The daemon (process ${pid}) ${late}${why}`, {
    hint:
      `If it stays so: \`kill -KILL ${pid}\`, and start it again with \`meshnet up\` or \`systemctl restart ` +
      "meshnet`; containers keep talking meanwhile",
  });
}
