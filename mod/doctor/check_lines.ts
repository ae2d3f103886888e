/** What `meshnet check` says about another host, line by line, from what was seen of it. Pure. */
import type { CheckLine, CheckState } from "../control/doctor_types.ts";
import { DEFAULT_PORT } from "../core/options.ts";
import {
  causeOf,
  type Fix,
  fixBy,
  fixOf,
  mtuFor,
  opening,
  type OverlayFacts,
  OWN_PORT,
  type Passage,
  type PortHolder,
  ruleFor,
} from "./check_causes.ts";
import { differs } from "./clock_faults.ts";

/** What was seen. */
export interface CheckFacts {
  /** As asked for, and its address. */
  readonly host: string;
  readonly address: string;
  /** This host's address towards it, if that is known. */
  readonly local: string | null;
  /** The mesh's port there. */
  readonly port: number;
  /** What came of connecting: `connected` when the daemon has a connection already. */
  readonly tcp: "connected" | "open" | "refused" | "timeout" | "other";
  /** What the system said, where it was none of these. */
  readonly tcpReason: string;
  /** What came of an introduction; undefined: there was none. */
  readonly intro: {
    readonly ok: boolean;
    /** Whether the other host has kernel tunnels. */
    readonly tunnels: boolean;
    readonly reason: string;
  } | undefined;
  /** What a datagram to each UDP port met: a refusal of the other system, or nothing. */
  readonly udp: "refused" | "silent" | "unreachable";
  readonly udpNext: "refused" | "silent" | "unreachable";
  /** The link that the daemon has with it; undefined: it has none. */
  readonly link: {
    readonly sleeve: OverlayFacts | undefined;
    readonly fastdp: OverlayFacts | undefined;
    readonly sealed: boolean;
    readonly mtu: number | undefined;
    /** For how long nothing has come, although something should have, in milliseconds; undefined: all is well. */
    readonly silentMs?: number | undefined;
  } | undefined;
  /** That the way fails and works by turns, if it does. */
  readonly unsteady?: string | undefined;
  /** Why a connection that this host tries to have is not there; empty: nothing is known. */
  readonly info?: string;
  /** Why this host has no kernel tunnels; null: it has. */
  readonly noFastdp: string | null;
  /** Whether this host is to have a port for tunnels, and has none. */
  readonly noTunnelPort: boolean;
  /** Whether this host has a password. */
  readonly password: boolean;
  /** MTU of containers here; undefined: not known. */
  readonly mtu: number | undefined;
  /** What the way out carries, headers included; 0: not known. */
  readonly routeMtu: number;
  /** How much its clock is ahead, and how sure that is, in milliseconds; undefined: it was not asked. */
  readonly clock: { readonly aheadMs: number; readonly ms: number } | undefined;
  /** What this host's firewall drops of what the mesh needs; undefined: nobody looked. */
  readonly firewall: readonly { readonly message: string; readonly hint: string | null }[] | undefined;
  /** The program that has the port of this host's tunnels, if it is somebody else's. */
  readonly tunnelHolder: PortHolder | undefined;
}

/** Problems of this host's firewall that are about what it sends. */
const WAY_OUT = /^This host's firewall drops what it sends /;
/** Reasons that lines about ports and the password tell. */
const ELSEWHERE = /password|nothing listens|no answer|no route|heartbeat|firewall|^already connected to /;
const CONNECT = "once the two are connected: `meshnet connect`";

/** One line for each thing that the mesh needs of the way between two hosts. */
export function checkLines(facts: CheckFacts): readonly CheckLine[] {
  return [
    ...routeLine(facts),
    ...facts.unsteady === undefined ? [] : [line("loss", "bad", facts.unsteady)],
    ...connectionLine(facts),
    tcpLine(facts),
    udpLine(facts),
    tunnelLine(facts),
    espLine(facts),
    mtuLine(facts),
    clockLine(facts),
    passwordLine(facts),
    firewallLine(facts),
  ];
}

/** A line without a fix. */
function line(what: string, state: CheckState, text: string): CheckLine {
  return { what, state, text, fix: null };
}

/** Whether the kernel did not even find an address to send from. */
function hasNoRoute({ local, udp }: CheckFacts): boolean {
  return udp === "unreachable" && local === null;
}

/** What the kernel says of the way, where there is none. */
function routeLine(facts: CheckFacts): readonly CheckLine[] {
  const { address } = facts;
  if (!hasNoRoute(facts)) return [];
  const text = `this host has no route to ${address}`;
  return [{ ...line("route", "bad", text), fix: fixBy("this host", `ip route get ${address}`) }];
}

/** Why two hosts are not connected that can reach each other; what other lines say is not said again. */
function connectionLine({ info = "", link, tcp }: CheckFacts): readonly CheckLine[] {
  if (link !== undefined || tcp !== "open" || info === "" || ELSEWHERE.test(info)) return [];
  const reset = /run "(meshnet [^"]+)"/.exec(info)?.[1];
  return [{
    ...line("connection", "bad", info),
    fix: reset === undefined ? null : fixBy("one of the two", reset),
  }];
}

function tcpLine(facts: CheckFacts): CheckLine {
  const { address, firewall, host, intro, local, port, tcp, tcpReason } = facts;
  const what = `TCP ${port}`;
  switch (tcp) {
    case "connected":
      return hasNoRoute(facts)
        ? line(what, "unknown", "the daemon's connection is of before the route was lost")
        : line(what, "good", "the daemon is connected to it");
    case "open":
      if (intro?.ok === false && /is not a mesh peer|sent nothing|header/.test(intro.reason)) {
        return line(what, "bad", `something else than meshnet answers: ${intro.reason}`);
      }
      return line(what, "good", "a connection can be made");
    case "refused":
      return {
        ...line(what, "bad", "nothing listens there"),
        fix: started(host, port),
      };
    case "timeout": {
      const passage = { protocol: "tcp", port } as const;
      const rule = ruleFor(passage, firewall?.filter(({ message }) => WAY_OUT.test(message)));
      if (rule !== undefined) return { what, state: "bad", text: rule.message, fix: fixOf(rule) };
      return {
        ...line(what, "bad", "no answer: a firewall drops it, or the host is off"),
        fix: opening(host, passage, { from: local, address }),
      };
    }
    case "other":
      if (!/no route|unreachable/i.test(tcpReason)) return line(what, "bad", tcpReason);
      return {
        ...line(
          what,
          "bad",
          `no route to ${address}: the host is off, or this host's network does not reach it`,
        ),
        fix: fixBy("this host", `ip route get ${address}`),
      };
  }
}

/** A line about an overlay whose heartbeats tell; `passage` is what it needs. */
function overlayLine(what: string, overlay: OverlayFacts, { facts, passage }: {
  readonly facts: CheckFacts;
  readonly passage: Passage;
}): CheckLine {
  if (overlay.works) {
    const { link } = facts;
    if (hasNoRoute(facts)) return line(what, "unknown", "heartbeats came back while there was a route");
    if (link?.silentMs === undefined) return line(what, "good", "heartbeats go there and come back");
    return line(what, "bad", `nothing has come from there for ${Math.round(link.silentMs / 1000)} s`);
  }
  if (facts.unsteady !== undefined && /heartbeat/.test(overlay.why)) {
    return line(what, "unknown", "what fails now is lost, as other packets are");
  }
  return {
    what,
    ...causeOf(overlay, passage, { ...facts, carries: facts.link?.mtu, sealed: facts.link?.sealed === true }),
  };
}

function udpLine(facts: CheckFacts): CheckLine {
  const what = `UDP ${facts.port}`;
  const sleeve = facts.link?.sleeve;
  const passage = { protocol: "udp", port: facts.port } as const;
  if (sleeve !== undefined) return overlayLine(what, sleeve, { facts, passage });
  return probedLine(what, facts.udp, facts);
}

function tunnelLine(facts: CheckFacts): CheckLine {
  const port = facts.port + 1;
  const what = `UDP ${port}`;
  if (facts.noFastdp !== null) return line(what, "unused", facts.noFastdp);
  const { link } = facts;
  const theirs = link === undefined
    ? facts.intro?.ok !== true || facts.intro.tunnels
    : link.fastdp !== undefined;
  if (!theirs) {
    return line(what, "unused", "the other host has no kernel tunnels");
  }
  const fastdp = tunnelOf(facts);
  if (fastdp === undefined) return probedLine(what, facts.udpNext, facts);
  const passage = { protocol: "udp", port } as const;
  const isInside = link?.sealed === true && !fastdp.works && !isOwnAffair(fastdp, passage, facts);
  if (isInside) return line(what, "unknown", "it travels inside ESP: see there");
  return overlayLine(what, fastdp, { facts, passage });
}

/** How the tunnel with the other host is. That this host has no port for it is known before there is a link. */
function tunnelOf({ link, noTunnelPort, port }: CheckFacts): OverlayFacts | undefined {
  const fastdp = link?.fastdp;
  if (!noTunnelPort || fastdp?.works === true || OWN_PORT.test(fastdp?.why ?? "")) return fastdp;
  return { works: false, why: `cannot open VXLAN port ${port + 1} on this host` };
}

/** Whether it is this host's own port or rule that keeps tunnels from working, whatever is around them. */
function isOwnAffair({ why }: OverlayFacts, passage: Passage, { firewall }: CheckFacts): boolean {
  return OWN_PORT.test(why) || ruleFor(passage, firewall) !== undefined;
}

/** How to start the other host's router, which others expect at a port. */
function started(host: string, port: number): Fix {
  return fixBy(host, port === DEFAULT_PORT ? "meshnet up" : `meshnet up --port ${port}`);
}

function probedLine(what: string, found: CheckFacts["udp"], { host, port, tcp }: CheckFacts): CheckLine {
  if (found === "unreachable") return line(what, "bad", "the host cannot be reached");
  if (found === "refused") {
    return {
      ...line(what, "bad", "nothing uses that port there"),
      fix: started(host, port),
    };
  }
  const hidden = tcp === "refused" || tcp === "timeout"
    ? "nothing came back, which says little"
    : `nothing refuses it; whether it gets through is known ${CONNECT}`;
  return line(what, "unknown", hidden);
}

function espLine(facts: CheckFacts): CheckLine {
  const what = "ESP";
  if (facts.noFastdp !== null) return line(what, "unused", facts.noFastdp);
  if (!facts.password) return line(what, "unused", "there is no password, so nothing is sealed");
  const { link } = facts;
  if (link === undefined) return line(what, "unknown", `known ${CONNECT}`);
  if (!link.sealed) return line(what, "unused", "both hosts trust the network between them");
  if (link.fastdp === undefined) return line(what, "unused", "the other host has no kernel tunnels");
  const fastdp = tunnelOf(facts) ?? link.fastdp;
  const inside = { protocol: "udp", port: facts.port + 1 } as const;
  if (!fastdp.works && isOwnAffair(fastdp, inside, facts)) {
    return line(what, "unknown", `UDP ${inside.port}, which travels inside, does not work: see there`);
  }
  return overlayLine(what, fastdp, { facts, passage: { protocol: "esp" } });
}

function mtuLine({ link, mtu, routeMtu }: CheckFacts): CheckLine {
  const what = "MTU";
  if (link?.mtu === undefined || mtu === undefined) {
    if (routeMtu === 0) return line(what, "unknown", `known ${CONNECT}`);
    return line(
      what,
      "unknown",
      `this host's way out carries ${routeMtu} bytes; the rest is known ${CONNECT}`,
    );
  }
  if (link.mtu >= mtu) {
    return line(what, "good", `${link.mtu} bytes get through whole, containers send up to ${mtu}`);
  }
  return {
    ...line(
      what,
      "bad",
      `${link.mtu} bytes get through whole, containers send up to ${mtu}: larger ones go in pieces`,
    ),
    fix: fixBy("all hosts", `meshnet up --mtu ${mtuFor(link.mtu, link)}`),
  };
}

function clockLine({ clock, host }: CheckFacts): CheckLine {
  const what = "clock";
  if (clock === undefined) {
    return line(what, "unknown", `known ${CONNECT}, if both hosts run this meshnet`);
  }
  const seconds = Math.abs(clock.aheadMs) / 1000;
  const text = `${seconds < 1 ? seconds.toFixed(2) : Math.round(seconds)} s ${
    clock.aheadMs > 0 ? "ahead" : "behind"
  }`;
  if (!differs(clock)) return line(what, "good", text);
  return {
    ...line(what, "bad", `${text}: one of the two is wrong`),
    fix: fixBy(`this host or ${host}`, "timedatectl set-ntp true"),
  };
}

function passwordLine({ intro, link, password, tcp }: CheckFacts): CheckLine {
  const what = "password";
  const same = password ? "both hosts have the same" : "neither host has one";
  if (link !== undefined || tcp === "connected" || intro?.ok === true) return line(what, "good", same);
  if (intro !== undefined && /password/.test(intro.reason)) {
    return {
      ...line(what, "bad", intro.reason),
      fix: fixBy("both hosts", "meshnet up --password-file FILE"),
    };
  }
  return line(what, "unknown", intro === undefined ? "nobody could be asked" : intro.reason);
}

function firewallLine({ firewall }: CheckFacts): CheckLine {
  const what = "firewall";
  if (firewall === undefined) return line(what, "unknown", "only the daemon looks at this host's firewall");
  const [first] = firewall;
  if (first === undefined) return line(what, "good", "this host's firewall lets the mesh in and out");
  return { ...line(what, "bad", first.message), fix: fixOf(first) };
}
