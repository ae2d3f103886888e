/** What a status shows to be wrong, beyond its own problems. Pure. */
import type { ConnectionReport, Problem, StatusReport } from "../control/api_types.ts";

/** What is said of a peer that has no tunnels, or was told to use none. */
const THEIR_CHOICE = "the peer does not offer fastdp";
/** Owners of addresses that one sentence names. */
const MAX_NAMED = 4;

/** Connections that do not carry traffic, or not as they could. */
export function connectionFaults(
  { connections, datapath }: Pick<StatusReport, "connections" | "datapath">,
): readonly Problem[] {
  return connections.flatMap((one) => {
    const name = one.nickname || one.peer || one.address;
    if (one.state === "pending" && one.info !== "") return [notWorking(name, one)];
    if (one.state !== "established") return []; // why a wanted one is not there is a problem of the status
    return [
      ...worseThanItCould(name, one, datapath.noFastdp),
      ...tooNarrow(name, one, datapath.mtu),
      ...silent(name, one),
    ];
  });
}

/** An overlay of both ends that has not been proven yet says that it is being tested: that is no fault. */
function isTesting(info: string): boolean {
  return /: testing the path |overlay to this peer is being set up/.test(info);
}

function notWorking(name: string, { info }: ConnectionReport): Problem {
  return { message: `No traffic flows to ${name} and back: ${info}`, hint: null };
}

/** Where this host cannot have the fast path at all, that is how it is; where the peer cannot, it is the peer's. */
function worseThanItCould(
  name: string,
  { info, overlay }: ConnectionReport,
  noFastdp: string | null,
): readonly Problem[] {
  const why = /(?:^|; )no fastdp: (.*)$/.exec(info)?.[1];
  if (overlay !== "sleeve" || why === undefined || noFastdp !== null || isTesting(info)) return [];
  if (why === THEIR_CHOICE) return [];
  return [{ message: `Traffic to ${name} goes through user space: ${why}`, hint: null }];
}

function tooNarrow(name: string, { mtu }: ConnectionReport, own: number | null): readonly Problem[] {
  if (mtu === null || own === null || mtu >= own) return [];
  return [{
    message:
      `The path to ${name} carries packets of ${mtu} bytes and containers here send up to ${own}: larger ones travel in pieces`,
    hint:
      `Let the network between the hosts carry more, or start all hosts with --mtu ${mtu} and attach their containers again`,
  }];
}

function silent(name: string, { silentMs }: ConnectionReport): readonly Problem[] {
  if (silentMs === null) return [];
  return [{
    message: `Nothing has come from ${name} for ${
      Math.round(silentMs / 1000)
    } s: a firewall blocks UDP, or the way is broken`,
    hint: `See \`meshnet check ${name}\``,
  }];
}

/** Owners of addresses that cannot be asked. */
export function ownerFaults({ ipam }: Pick<StatusReport, "ipam">): readonly Problem[] {
  const lost = (ipam?.owners ?? []).filter(({ reachable }) => !reachable);
  if (lost.length === 0) return [];
  const names = lost.map(({ nickname, peer }) => nickname || peer);
  const some = names.slice(0, MAX_NAMED).join(", ");
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  const addresses = lost.reduce((sum, one) => sum + one.addresses, 0);
  return [{
    message: `${some}${more} cannot be reached and ${
      lost.length === 1 ? "owns" : "own"
    } ${addresses} addresses, which nobody else can give out`,
    hint: `Start ${lost.length === 1 ? "it" : "them"} again; or, if gone for good, \`meshnet rmpeer ${
      names.slice(0, MAX_NAMED).join(" ")
    }\` on one host`,
  }];
}
