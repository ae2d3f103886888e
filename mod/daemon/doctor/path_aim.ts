/** What a word means that is looked for, and who answers for it. */
import { type Ip, type Mac, parseCidr, parseIp, parseMac } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { PeerName } from "../../core/names.ts";
import type { HopEnd } from "../../doctor/hop_messages.ts";
import { type LeftHost, mayHaveBeenAt, whatBecameOf } from "../../doctor/left_hosts.ts";
import type { AddressUsers } from "../addresses/address_users.ts";
import { walk, type WalkParts } from "./path_walk.ts";
import { attachedAs, type StartParts } from "./starts.ts";

/** Hosts that are asked whether they have an address for which nobody answers. */
const MOST_ASKED = 32;
/** Hosts further away to which one walks for that, one after the other. */
const MOST_WALKED = 8;
/** So often everybody is asked for an address: a busy host may answer later than an attachment waits for that. */
const MOST_SURVEYS = 4;
/** Hosts that one sentence names. */
const MOST_NAMED = 3;

/** What is used. */
export interface AimParts extends WalkParts, Pick<StartParts, "attachments" | "members"> {
  readonly users: Pick<AddressUsers, "all">;
  /** Whether a neighbour may be asked. */
  readonly knows: (peer: PeerName) => boolean;
  /** The addresses of a name. */
  readonly lookUp: (name: string) => readonly Ip[];
  /** Hosts that were here, the latest first. */
  readonly left: () => readonly LeftHost[];
  /** The host that owns an address of the range. */
  readonly ownerOf: (ip: Ip) => string | undefined;
}

/** What is looked for. */
export interface Aim {
  /** undefined: a host itself. */
  readonly ip: Ip | undefined;
  readonly mac: Mac | undefined;
  /** The host where it is; undefined: nobody knows. */
  readonly peer: PeerName | undefined;
  readonly end: HopEnd | null;
  readonly ms: number | null;
  /** The host is gone: what is to be said of it. */
  readonly gone?: string;
}

/** What a word means, and who answers for it. Throws "peer/unknown" for one that means nothing. */
export async function aimOf(word: string, parts: AimParts): Promise<Aim> {
  const named = parts.peers().filter(({ name, nickname }) => name === word || nickname === word);
  if (named.length > 1) {
    throw new MeshnetError(
      "peer/unknown",
      `Cannot look for ${word}: ${named.length} hosts have this nickname`,
      {
        hint: `Give the name instead: ${named.map(({ name }) => name).join(" or ")}`,
      },
    );
  }
  if (named.length === 1) {
    return { ip: undefined, mac: undefined, peer: named[0]!.name, end: null, ms: null };
  }
  const ip = parseIp(word) ?? parts.lookUp(word)[0] ?? addressOfTarget(word, parts);
  if (ip === undefined) return unknownWord(word, parts.left());
  const [use] = await parts.users.all(ip, { times: MOST_SURVEYS });
  if (use !== undefined) {
    const peer = use.here ? parts.self : use.peer;
    return { ip, mac: use.mac, peer, end: null, ms: use.ms };
  }
  return await silentAim(ip, parts);
}

/** The first address of what is attached here and is called so: a container by its name, too. */
function addressOfTarget(word: string, { attachments, members }: AimParts): Ip | undefined {
  const found = attachedAs(word, attachments.list());
  if (found === undefined) return attachedAs(word, members())?.ips[0];
  return found?.addresses.map((text) => parseCidr(text)?.ip).find((ip) => ip !== undefined);
}

/** A host that left, if the word means one. */
function unknownWord(word: string, left: readonly LeftHost[]): Aim {
  const gone = left.find(({ name, peer }) => name === word || peer === word);
  if (gone !== undefined) {
    return { ip: undefined, mac: undefined, peer: undefined, end: null, ms: null, gone: whatBecameOf(gone) };
  }
  const maybe = mayHaveBeenAt(left);
  throw new MeshnetError("peer/unknown", `Cannot look for ${word}: it is no address, no name and no host`, {
    hint: "`meshnet dns list` shows the names, `meshnet status peers` the hosts" +
      (maybe === "" ? "" : `; names go with their host: ${maybe}`),
  });
}

/** Nobody answers: perhaps a host has it attached, and says why. */
async function silentAim(ip: Ip, parts: AimParts): Promise<Aim> {
  const question = { to: null, from: null, src: null, dst: null, ip };
  const own = await parts.look({ ...question, id: 0 });
  const mac = (end: HopEnd | null) => end?.mac == null ? undefined : parseMac(end.mac);
  const aim = (peer: PeerName, end: HopEnd) => ({ ip, mac: mac(end), peer, end, ms: null });
  if (own.end !== null) return aim(parts.self, own.end);
  const asked = parts.peers().map(({ name }) => name).filter((name) =>
    name !== parts.self && parts.knows(name)
  );
  const answers = await Promise.all(
    asked.slice(0, MOST_ASKED).map(async (peer) => ({
      peer,
      found: await parts.channel.ask(peer, question),
    })),
  );
  const one = answers.find(({ found }) => found?.answer.end != null);
  if (one !== undefined) return aim(one.peer, one.found!.answer.end!);
  const silent = answers.filter(({ found }) => found === undefined).map(({ peer }) => peer);
  // Others may not be asked before a host next to them says that they understand: so one walks there.
  const far = parts.peers().map(({ name }) => name).filter((name) =>
    name !== parts.self && !parts.knows(name)
  );
  for (const peer of far.slice(0, MOST_WALKED)) {
    const { complete, end } = await walk({ ...question, from: parts.self, to: peer }, parts);
    if (complete && end !== null) return aim(peer, end);
  }
  const none = { ip, mac: undefined, peer: undefined, end: null, ms: null };
  const left = parts.left();
  const owner = left.find(({ peer }) => peer === parts.ownerOf(ip));
  const nobody = `nobody answers for ${ip}, and no host that could be asked has it attached${
    unheard(silent, parts)
  }`;
  if (owner !== undefined) {
    return { ...none, gone: `${nobody}: it is of the addresses of ${owner.name}. ${whatBecameOf(owner)}` };
  }
  const maybe = mayHaveBeenAt(left);
  if (maybe !== "") return { ...none, gone: `${nobody}; ${maybe}` };
  return silent.length === 0 ? none : { ...none, gone: nobody };
}

/** Which hosts were asked whether they have it attached, and said nothing. */
function unheard(silent: readonly PeerName[], { peers }: AimParts): string {
  if (silent.length === 0) return "";
  const nicknames = new Map(peers().map(({ name, nickname }) => [name, nickname]));
  const some = silent.slice(0, MOST_NAMED).map((peer) => nicknames.get(peer) || peer).join(", ");
  const more = silent.length > MOST_NAMED ? ` and ${silent.length - MOST_NAMED} more` : "";
  return `; ${some}${more} did not answer within 2 s`;
}
