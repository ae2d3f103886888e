/** What a status shows to be wrong, beyond its own problems. Pure. */
import { DAEMON_HANGS } from "../core/overlay_port.ts";
import type { ConnectionReport, Problem, StatusReport } from "../control/api_types.ts";
import { parseEndpoint } from "../core/addr.ts";
import { mtuFor } from "./check_causes.ts";

/** What is said of a peer that has no tunnels, or was told to use none. */
const THEIR_CHOICE = "the peer does not offer fastdp";
/** What is said of a kernel without IPsec, and the modules that have it. */
const NO_IPSEC = /needs IPsec, and this kernel has none: load the modules (.+)$/;
/** What a connection says that is missed, where somebody answers: such a host is not gone. */
const LIVES =
  /password|peer name|IP allocation|allocation range|protocol version|connection limit|removed|no route to|the connection was lost/;
/** Owners of addresses that one sentence names. */
const MAX_NAMED = 4;

/** Connections that do not carry traffic, or not as they could. `canLoad`: whether this kernel's modules are there to be
 * loaded. */
export function connectionFaults(
  { connections, datapath }: Pick<StatusReport, "connections" | "datapath">,
  canLoad: (module: string) => boolean = () => false,
): readonly Problem[] {
  return connections.flatMap((one) => {
    const name = one.nickname || one.peer || one.address;
    if (one.state === "pending" && one.info !== "") return [notWorking(name, one)];
    if (one.state !== "established") return []; // why a wanted one is not there is a problem of the status
    return [
      ...worseThanItCould(name, one, { noFastdp: datapath.noFastdp, canLoad }),
      ...tooNarrow(name, one, datapath.mtu),
      ...silent(name, one),
    ];
  });
}

/** An overlay of both ends that has not been proven yet says that it is being tested: that is no fault. */
function isTesting(info: string): boolean {
  return /: testing the path |overlay to this peer is being set up/.test(info);
}

/** What a command calls a host: its nickname comes from there, and shall not be more than a word to a shell. */
function wordFor(
  { nickname, peer }: { readonly nickname: string | null; readonly peer: string | null },
  other = "",
): string {
  return nickname !== null && /^\w[\w.:-]*$/.test(nickname) ? nickname : peer ?? other;
}

/** The cause may lie at either end. */
function lookCloser(one: ConnectionReport): string {
  const name = wordFor(one, one.address);
  return `\`meshnet check ${name}\` names what can be seen from here, with commands; then \`meshnet doctor\` on ${name}`;
}

function notWorking(name: string, one: ConnectionReport): Problem {
  return { message: `No traffic flows to ${name} and back: ${one.info}`, hint: lookCloser(one) };
}

/** Where this host cannot have the fast path at all, that is how it is; where the peer cannot, it is the peer's. */
function worseThanItCould(
  name: string,
  one: ConnectionReport,
  { canLoad, noFastdp }: { readonly noFastdp: string | null; readonly canLoad: (module: string) => boolean },
): readonly Problem[] {
  const { info, overlay } = one;
  const why = /(?:^|; )no fastdp: (.*)$/.exec(info)?.[1];
  if (overlay !== "sleeve" || why === undefined || noFastdp !== null || isTesting(info)) return [];
  if (why === THEIR_CHOICE) return [];
  const modules = NO_IPSEC.exec(why)?.[1]?.split(/, | and /);
  if (modules !== undefined && !modules.every((one) => canLoad(one))) return []; // so this kernel cannot have it
  return [{
    message: `Traffic to ${name} goes through user space: ${why}`,
    hint: modules === undefined
      ? lookCloser(one)
      : `\`modprobe -a ${modules.join(" ")}\`, then start the daemon again`,
  }];
}

function tooNarrow(
  name: string,
  { encrypted, mtu }: ConnectionReport,
  own: number | null,
): readonly Problem[] {
  if (mtu === null || own === null || mtu >= own) return [];
  return [{
    message:
      `The path to ${name} carries packets of ${mtu} bytes and containers here send up to ${own}: larger ones travel in pieces`,
    hint: `Start all hosts with \`meshnet up --mtu ${
      mtuFor(mtu, { sealed: encrypted })
    }\`, or let the network between them carry more`,
  }];
}

function silent(name: string, one: ConnectionReport): readonly Problem[] {
  const { info, silentMs } = one;
  if (silentMs === null) return [];
  if (info === DAEMON_HANGS) {
    return [{
      message: `The daemon on ${name} has not answered for ${
        Math.round(silentMs / 1000)
      } s; its containers may be reachable`,
      hint:
        `Look at its log there; if it hangs, run \`systemctl restart meshnet\` there, or kill it and run \`meshnet up\``,
    }];
  }
  return [{
    message: `Nothing has come from ${name} for ${
      Math.round(silentMs / 1000)
    } s: a firewall blocks UDP, or the way is broken`,
    hint: lookCloser(one),
  }];
}

/** The problems of a status. Where a host is missed that owns addresses, what to do about these is said with that. */
export function problemsWithOwners(
  { connections, ipam, problems }: Pick<StatusReport, "connections" | "ipam" | "problems">,
): readonly Problem[] {
  const missed = missedOwners({ connections, ipam });
  const alone = isCutOff({ connections, ipam });
  return problems.map((problem) => {
    const target = /^No connection to (\S+): /.exec(problem.message)?.[1];
    const one = missed.find(({ address }) =>
      target !== undefined && (address === target || hostOf(address) === target)
    );
    if (one === undefined || alone || LIVES.test(problem.message)) return problem;
    const { addresses, name } = one;
    const more = `it owns ${addresses} addresses: if it is gone for good, \`meshnet rmpeer ${name}\``;
    return { ...problem, hint: problem.hint === null ? `Mend that; ${more}` : `${problem.hint}; ${more}` };
  });
}

/** Owners to which a connection is missed that somebody asked for. */
function missedOwners({ connections, ipam }: Pick<StatusReport, "connections" | "ipam">) {
  const lost = (ipam?.owners ?? []).filter(({ reachable }) => !reachable);
  return lost.flatMap(({ addresses, nickname, peer }) =>
    connections.filter((one) =>
      one.peer === peer && one.wanted && (one.state === "failed" || one.state === "retrying")
    ).map(({ address }) => ({ peer, name: wordFor({ nickname, peer }), addresses, address }))
  );
}

function hostOf(address: string): string {
  return parseEndpoint(address)?.ip ?? address;
}

/** Whether nobody is connected, and several should be: then it is rather this host that is away. */
function isCutOff({ connections, ipam }: Pick<StatusReport, "connections" | "ipam">): boolean {
  const owners = (ipam?.owners ?? []).filter(({ reachable }) => !reachable);
  return owners.length > 1 && connections.some(({ wanted }) => wanted) &&
    !connections.some(({ state }) => state === "established");
}

/** Owners that came lately and were not let in: they are there, and why they are not let in is a fault of its own. */
function knocking({ lost, refused }: Pick<StatusReport, "lost" | "refused">): ReadonlySet<string> {
  const addresses = new Set(refused.map(({ address }) => address));
  return new Set([
    ...refused.flatMap(({ peer }) => peer ?? []),
    ...lost.filter(({ address }) => addresses.has(hostOf(address))).map(({ peer }) => peer),
  ]);
}

/** Owners of addresses that cannot be asked, unless a connection to them is missed anyway, they knock and are not let in, or
 * it is this host that is cut off. */
export function ownerFaults(
  { connections, ipam, lost: left, refused }: Pick<StatusReport, "connections" | "ipam" | "lost" | "refused">,
): readonly Problem[] {
  if (isCutOff({ connections, ipam })) return [];
  const missed = new Set(missedOwners({ connections, ipam }).map(({ peer }) => peer));
  const present = knocking({ lost: left, refused });
  const lost = (ipam?.owners ?? []).filter(({ peer, reachable }) =>
    !reachable && !missed.has(peer) && !present.has(peer)
  );
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
      lost.slice(0, MAX_NAMED).map((one) => wordFor(one)).join(" ")
    }\` on one host`,
  }];
}
