/** What a status shows to be wrong besides connections: checks that fail, who is not let in, addresses, the engine. Pure. */
import type { ConnectionReport, Problem, RefusedReport, StatusReport } from "../control/api_types.ts";
import { parseEndpoint } from "../core/addr.ts";

/** Hosts or targets that one sentence names. */
const MAX_NAMED = 4;
/** Reasons that mean a fault of somebody's settings. Others belong to people who looked, and to strangers. */
const SETTINGS = /password|same peer name|protocol version|connection limit|conn-limit/;
/** Why allocation of addresses does not go on, with what to do. */
const SHARING: Readonly<Record<string, string>> = {
  "awaiting-consensus": "No address can be given out yet",
  "priming": "No address can be given out yet",
  "all-unreachable": "No address can be given out",
};

/** Targets that do not answer their checks. */
export function healthFaults(
  { attachments, dns }: Pick<StatusReport, "attachments" | "dns">,
): readonly Problem[] {
  const failing = (dns?.probed ?? []).filter(({ healthy }) => healthy === false);
  return failing.map(({ check, forMs, reason, target, trouble }) => {
    const name = attachments.find((one) => one.target === target)?.name ?? target;
    if (trouble === "paused") {
      return {
        message: `${name} is paused, so its names lead elsewhere`,
        hint: `\`docker unpause ${name}\` lets it go on`,
      };
    }
    const since = forMs === null ? "" : ` for ${Math.round(forMs / 1000)} s`;
    return {
      message: `${name} has not answered its check ${check}${since}, so its names lead elsewhere${
        reason === null ? "" : `: ${reason}`
      }`,
      hint: `See to the program in it; \`meshnet attach --health none ${name}\` ends the check`,
    };
  });
}

/** Hosts that knocked lately and were not let in, for a reason that lies in settings, and that are not here now. */
export function refusedFaults(
  { connections, refused }: Pick<StatusReport, "connections" | "refused">,
): readonly Problem[] {
  const open = refused.filter((one) => SETTINGS.test(one.reason) && !isHere(one, connections));
  return [...Map.groupBy(open, ({ reason }) => reason)].map(([reason, all]) => {
    const some = all.slice(0, MAX_NAMED).map(called).join(", ");
    const more = all.length > MAX_NAMED ? ` and ${all.length - MAX_NAMED} more` : "";
    const count = all.reduce((sum, one) => sum + one.count, 0);
    const times = count === 1 ? "once" : `${count} times`;
    return {
      message: `${some}${more} came ${times} in the last ten minutes and ${
        all.length === 1 ? "was" : "were"
      } not let in: ${reason}`,
      hint: hintFor(reason, all[0]!),
    };
  });
}

function called({ address, nickname, peer }: RefusedReport): string {
  const name = nickname || peer;
  return name === null ? address : `${name} (${address})`;
}

function isHere({ address, peer }: RefusedReport, connections: readonly ConnectionReport[]): boolean {
  return connections.some((one) =>
    one.state === "established" && (one.peer !== null && one.peer === peer || ipOf(one.address) === address)
  );
}

function ipOf(address: string): string {
  return parseEndpoint(address)?.ip ?? address;
}

function hintFor(reason: string, { address }: RefusedReport): string {
  if (/this host has none/.test(reason)) {
    return `If it belongs here, start this host with the password of that one: \`meshnet up --password-file FILE\`; ` +
      `if not, keep ${address} from this host's port`;
  }
  if (/password/.test(reason)) {
    return `If it belongs here, start it with the password of this host: \`meshnet up --password-file FILE\`; if not, ` +
      `keep ${address} from this host's port`;
  }
  if (/same peer name/.test(reason)) {
    return "Its state folder is a copy of another host's: run `meshnet reset` there, or give it a --name of its own";
  }
  return "Mend it there, or keep it from this host's port";
}

/** Allocation that does not go on, where no problem of the status says so. */
export function sharingFaults(
  { ipam, problems }: Pick<StatusReport, "ipam" | "problems">,
): readonly Problem[] {
  const what = ipam === null ? undefined : SHARING[ipam.state];
  if (ipam === null || what === undefined) return [];
  if (problems.some(({ message }) => message.includes(ipam.info))) return [];
  return [{ message: `${what}: ${ipam.info}`, hint: "See `meshnet status ipam`" }];
}

/** An engine that cannot be reached, though somebody counts on it: it was named, or containers of it are attached. */
export function engineFaults(
  { attachments, engine }: Pick<StatusReport, "attachments" | "engine">,
  { named }: { readonly named: boolean },
): readonly Problem[] {
  if (engine === null || engine.info === "") return [];
  if (!named && !attachments.some(({ target }) => target.startsWith("container:"))) return [];
  return [{
    message: `The container engine at ${engine.socket} cannot be reached: ${engine.info}`,
    hint:
      "Start it, for example `systemctl start docker`; or name its socket with `meshnet up --docker unix:///PATH`",
  }];
}
