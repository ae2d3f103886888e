/** Why an overlay of a link does not work: from the words of the link, and from what else is known of this host. Pure. */
import type { Problem } from "../control/api_types.ts";
import type { CheckLine } from "../control/doctor_types.ts";

/** How to mend one thing. */
export type Fix = NonNullable<CheckLine["fix"]>;

/** How one overlay of a link is: as its own heartbeats prove. */
export interface OverlayFacts {
  readonly works: boolean;
  /** Why not; empty when it works. */
  readonly why: string;
}

/** A port or protocol of the mesh. */
export interface Passage {
  readonly protocol: "tcp" | "udp" | "esp";
  /** undefined: it has none. */
  readonly port?: number;
}

/** What is known around a link. */
export interface CauseFacts {
  /** The other host, and its address. */
  readonly host: string;
  readonly address: string;
  /** This host's address towards it, if that is known. */
  readonly local: string | null;
  /** What this host's firewall drops of what the mesh needs; undefined: nobody looked. */
  readonly firewall: readonly Problem[] | undefined;
  /** The program that has the port of this host's tunnels, if it is somebody else's. */
  readonly tunnelHolder: PortHolder | undefined;
  /** What the path carries of packets of containers, and what these send; undefined: not known. */
  readonly carries: number | undefined;
  readonly mtu: number | undefined;
  /** Whether the link seals what it carries. */
  readonly sealed: boolean;
}

/** Who has a port. */
export interface PortHolder {
  /** As people know it: `dnsmasq (process 812)`. */
  readonly name: string;
  readonly pid: number;
}

/** What was found out about an overlay that does not work. */
export type Cause =
  /** It is too early to say. */
  | { readonly state: "unknown"; readonly text: string; readonly fix: null }
  | { readonly state: "bad"; readonly text: string; readonly fix: Fix | null };

/** What a link says while it is being set up. */
const EARLY =
  /testing the path|being set up|being made|not ready yet|has not confirmed|waiting for the peer to set up|no short id|a new connection is being made/;

/** What a link says while this host cannot have the port of its tunnels. */
export const OWN_PORT = /^cannot open VXLAN port/;

/** What sealing by the kernel adds beyond sealing in user space, and its padding, in bytes. */
const ESP_MORE = 4;

/** The MTU of containers that fits where user space carries packets of so many bytes: tunnels of the kernel must fit, too. */
export function mtuFor(carries: number, { sealed }: { readonly sealed: boolean }): number {
  return sealed ? carries - ESP_MORE : carries;
}

/** The cause, with its fix. `passage` is what the overlay needs. The most certain comes first: what this host knows of itself. */
export function causeOf({ why }: OverlayFacts, passage: Passage, facts: CauseFacts): Cause {
  if (OWN_PORT.test(why)) return portTaken(why, facts);
  if (EARLY.test(why)) return { state: "unknown", text: why, fix: null };
  const rule = ruleFor(passage, facts.firewall);
  if (rule !== undefined) return { state: "bad", text: rule.message, fix: fixOf(rule) };
  const here = /let this host's firewall/.test(why);
  const { address, carries, firewall, host, local, mtu } = facts;
  if (!here && carries !== undefined && mtu !== undefined && carries < mtu && /less than/.test(why)) {
    const text = `small packets get through and those of ${mtu} bytes do not: the path carries ${carries}`;
    return { state: "bad", text, fix: fixBy("all hosts", `meshnet up --mtu ${mtuFor(carries, facts)}`) };
  }
  if (!/firewall/.test(why)) return { state: "bad", text: why, fix: null };
  if (here && firewall !== undefined) {
    const text = why.replace(/: let this host's firewall.*$/, "");
    return {
      ...{
        state: "bad",
        text: `${text}: this host's firewall lets it in, so it is lost on the way, or is too large for it`,
      },
      fix: opening("what is between the hosts", passage, { from: address, address }),
    };
  }
  const [on, from] = here ? ["this host", address] : [host, local];
  return { state: "bad", text: why, fix: opening(on, passage, { from, address }) };
}

/** The problem of this host's firewall that is about this port or protocol. */
export function ruleFor(
  { port, protocol }: Passage,
  firewall: CauseFacts["firewall"],
): Problem | undefined {
  return firewall?.find(({ message }) => {
    let at = "";
    for (const [word] of message.split(": ")[0]!.matchAll(/\b(?:TCP|UDP|ESP|[0-9]+)\b/g)) {
      if (/[A-Z]/.test(word)) at = word.toLowerCase();
      if (at === protocol && (port === undefined || word === `${port}`)) return true;
    }
    return false;
  });
}

/** What a problem of the firewall says to do, as nft or iptables has it. */
export function fixOf({ hint }: Problem): Fix {
  const text = /: (.*)$/.exec(hint ?? "")?.[1] ?? hint ?? "";
  const isTables = /^ip6?tables/.test(text);
  const [nft, iptables] = /^nft /.test(text) ? [text, null] : isTables ? [null, text] : [null, null];
  return { on: "this host", command: nft === null && iptables === null ? text : null, nft, iptables };
}

function portTaken(why: string, { tunnelHolder }: CauseFacts): Cause {
  if (tunnelHolder === undefined) {
    const look = "ip -d link show type vxlan";
    return {
      state: "bad",
      text: `${why}; another VXLAN interface may have it`,
      fix: fixBy("this host", look),
    };
  }
  const text = `${why}: ${tunnelHolder.name} has it`;
  return { state: "bad", text, fix: fixBy("this host", `kill ${tunnelHolder.pid}`) };
}

/** A fix by one command. */
export function fixBy(on: string, text: string): Fix {
  return { on, command: text, nft: null, iptables: null };
}

/** How to open a port at an end, in both programs. */
export function opening(
  on: string,
  { port, protocol }: Passage,
  { address, from }: {
    readonly from: string | null;
    /** That of the other host: of the same family as what must get through. */
    readonly address: string;
  },
): Fix {
  const family = address.includes(":") ? "ip6" : "ip";
  const nftFrom = from === null ? "" : `${family} saddr ${from} `;
  const nftWhat = port === undefined ? `meta l4proto ${protocol}` : `${protocol} dport ${port}`;
  const tablesFrom = from === null ? "" : `-s ${from} `;
  const tablesPort = port === undefined ? "" : ` --dport ${port}`;
  const program = family === "ip6" ? "ip6tables" : "iptables";
  return {
    ...{ on, command: null },
    nft: `nft insert rule inet filter input ${nftFrom}${nftWhat} accept`,
    iptables: `${program} -I INPUT ${tablesFrom}-p ${protocol}${tablesPort} -j ACCEPT`,
  };
}
