/** Those who use one address, as people are told of them. */
import { CONTAINER_PREFIX } from "../../attach/mod.ts";
import type { Ip } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";

/** One who uses an address that another one uses, too. */
export interface AddressSide {
  /** Nickname of his host; undefined: not known. */
  readonly host: string | undefined;
  /** That host; undefined: this one, or not known. */
  readonly peer: PeerName | undefined;
  /** What he is called; undefined: not known. */
  readonly target: string | undefined;
  readonly name: string | undefined;
  /** Who answers; undefined: nobody does. */
  readonly mac: string | undefined;
  /** Whether he was given the address; undefined: not known. */
  readonly isGiven: boolean | undefined;
}

/** All of them, in a sentence. */
export function sidesText(sides: readonly AddressSide[]): string {
  const ordered = sides.toSorted((a, b) => rank(a) - rank(b));
  return ordered.map((side) => {
    const given = side.isGiven === false ? ", which was not given it" : "";
    return `${sideText(side)}${given}`;
  }).join(", and by ");
}

/** What to do. */
export function wayOut(ip: Ip, sides: readonly AddressSide[]): string {
  const thief = sides.find(({ isGiven }) => isGiven === false);
  if (thief !== undefined) {
    const inside = commandIn(thief);
    return `Take it away from ${
      thief.name ?? thief.target
    }: there, \`${inside}ip addr show to ${ip}\` names the ` +
      `interface, and \`${inside}ip addr del ${ip}/PREFIX dev INTERFACE\` takes it away`;
  }
  const given = sides.filter(({ isGiven }) => isGiven === true);
  const [other] = sides.filter(({ isGiven }) => isGiven === undefined);
  if (given.length === 1 && other !== undefined) {
    return `${given[0]!.name ?? given[0]!.target} was given it: find who has MAC address ${other.mac} on ${
      other.host ?? "another host"
    }, and take it away there`;
  }
  return "Give one of them another address: `meshnet detach` and `meshnet attach`, or for a container of Docker's " +
    "`docker network disconnect` and `docker network connect`";
}

/** Whoever took it is named last. */
function rank({ isGiven }: AddressSide): number {
  return isGiven === true ? 0 : isGiven === undefined ? 1 : 2;
}

function sideText({ host, mac, name, target }: AddressSide): string {
  const who = name ?? target;
  const what = who === undefined ? mac ?? "somebody" : mac === undefined ? who : `${who} (${mac})`;
  return host === undefined ? what : `${what} on ${host}`;
}

/** What goes before a command that is to run in there. */
function commandIn({ name, target }: AddressSide): string {
  if (target?.startsWith("netns:")) return `ip netns exec ${target.slice("netns:".length)} `;
  if (!target?.startsWith(CONTAINER_PREFIX)) return "";
  return `nsenter -n -t $(docker inspect -f {{.State.Pid}} ${
    name ?? target.slice(CONTAINER_PREFIX.length)
  }) `;
}
