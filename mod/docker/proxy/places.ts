/** Where on the network a container is to be: what its environment asks for, in networks of the engine. Pure. */
import { type Cidr, formatCidr, type Ip, isIpv4, networkOf, overlap } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";

/** Variables of a container that say where it is to be; the first that is there counts. The second is the original's. */
export const PLACE_VARIABLES = ["MESHNET_CIDR", "WEAVE_CIDR"] as const;
/** Most networks that one container is put on. */
const MAX_PLACES = 32;
const MAX_SHOWN = 100;

/** A place on one network of the engine. */
export interface NetworkPlace {
  /** Of the network; undefined: the one that all share. */
  readonly subnet: Cidr | undefined;
  /** undefined: any. */
  readonly ip: Ip | undefined;
}

/** What one word asks for, as for `meshnet attach`: this address with its subnet, or any of a subnet. */
export type PlaceWish =
  | { readonly kind: "address"; readonly cidr: Cidr }
  | { readonly kind: "any"; readonly subnet: Cidr | undefined };

/** How words are read. */
export interface PlaceReading {
  /** Throws for a word that makes no sense. */
  readonly parse: (word: string) => PlaceWish;
  /** The subnet of the network that all share. */
  readonly common: Cidr;
}

/** The name of the engine's network with a subnet. */
export function networkName(subnet: Cidr): string {
  return `mesh-${formatCidr(subnet).replace("/", "-")}`;
}

/** What the environment of a container says; undefined: nothing. Of several values the last counts, as for its process. */
export function placeText(env: unknown): string | undefined {
  const all: readonly unknown[] = Array.isArray(env) ? env : [];
  for (const name of PLACE_VARIABLES) {
    const found = all.findLast((one) => typeof one === "string" && one.startsWith(`${name}=`));
    if (typeof found === "string") return found.slice(name.length + 1);
  }
  return undefined;
}

/** Reads where a container is to be: `net:default`, `net:10.32.1.0/24`, `10.32.1.7/24`, several with blanks between; empty
 * is the first of these; `none` is nowhere. Throws what parsing throws. */
export function readPlaces(text: string, { common, parse }: PlaceReading): Decoded<readonly NetworkPlace[]> {
  const words = text.split(/[\s,]+/).filter(Boolean);
  if (words.length === 1 && words[0]!.toLowerCase() === "none") return good([]);
  if (words.length > MAX_PLACES) return bad(`it names ${words.length} networks; give at most ${MAX_PLACES}`);
  const networks: Cidr[] = [];
  const places: NetworkPlace[] = [];
  for (const word of words.length === 0 ? ["net:default"] : words) {
    const wish = parse(word);
    const network = networkOf(wish.kind === "address" ? wish.cidr : wish.subnet ?? common);
    const name = formatCidr(network);
    const shown = word.slice(0, MAX_SHOWN);
    if (!isIpv4(network.ip)) return bad(`${shown} is IPv6, which networks of the engine cannot have`);
    const other = networks.find((one) => overlap(one, network));
    if (other !== undefined) {
      const both = formatCidr(other) === name
        ? name
        : `${formatCidr(other)}, which shares addresses with ${name}`;
      return bad(`two words ask for an address of ${both}; give one of each subnet`);
    }
    networks.push(network);
    const isCommon = name === formatCidr(networkOf(common));
    const ip = wish.kind === "address" ? wish.cidr.ip : undefined;
    places.push({ subnet: isCommon ? undefined : network, ip });
  }
  return good(places);
}
