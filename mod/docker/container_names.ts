/** What a container of one of our networks is called: the engine's words for it. Pure. */
import type { Known } from "./follower.ts";
import { LABEL, listOf } from "./labels.ts";

/** The engine calls a container by so much of its id where nobody has named it. */
const SHORT_ID = 12;
/** A container has no more names than something that is attached. */
const MAX_NAMES = 100;

/** What a container is to be called, in the order of giving: by its name, as it calls itself, by its aliases in our
 * networks, and by its label. Its id is no name: nobody writes it. Of a host name in another domain than the mesh's, the
 * first part counts. */
export function namesOfContainer(
  id: string,
  { endpoints, hostname, labels, name }: Pick<Known, "endpoints" | "hostname" | "labels" | "name">,
  { domain, isOurs }: {
    /** The domain of the mesh; with a dot at its end or without. */
    readonly domain: string;
    readonly isOurs: (endpoint: string) => boolean;
  },
): readonly string[] {
  const aliases = endpoints.filter((one) => isOurs(one.id)).flatMap((one) => one.aliases);
  const isBelow = hostname.toLowerCase().endsWith(`.${domain.toLowerCase().replace(/\.$/, "")}`);
  const own = isBelow ? hostname : hostname.split(".")[0]!;
  const all = [name, own, ...aliases, ...listOf(labels.get(LABEL.name))];
  const shortId = id.slice(0, SHORT_ID);
  return [...new Set(all)].filter((each) => each !== "" && each !== shortId && each !== id)
    .slice(0, MAX_NAMES);
}
