/** What the state says of a daemon that does not run any more. */
import { decodeRecord, RECORD_PREFIX } from "../../attach/record.ts";
import { formatCidr } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { STORE_KEY } from "../../ipam/stored.ts";
import { storedName } from "../../sys/identity.ts";
import { openStore, STORE_FILE } from "../../sys/store.ts";
import { filesWritten } from "../names/resolv_files.ts";

/** What is to be gone, or is lost with it. */
export interface LeftState {
  /** Its name among its peers. */
  readonly name: string | undefined;
  /** Whether it knew who owns which addresses: others believe that it owns some. */
  readonly ownsAddresses: boolean;
  /** What was attached, and its addresses. */
  readonly attached: readonly { readonly target: string; readonly addresses: readonly string[] }[];
  /** Targets whose resolv.conf was written. */
  readonly files: readonly string[];
}

/** undefined: there is none, somebody uses it, or nobody can read it. */
export function leftState(stateDir: string): LeftState | undefined {
  try {
    Deno.lstatSync(`${stateDir}/${STORE_FILE}`);
    using store = openStore(stateDir);
    return {
      name: storedName(store),
      ownsAddresses: store.get(STORE_KEY.ring) !== undefined,
      attached: store.list(RECORD_PREFIX).flatMap(([, text]) => {
        const record = decodeRecord(text);
        return record.ok
          ? [{ target: record.value.target, addresses: record.value.addresses.map(formatCidr) }]
          : [];
      }),
      files: filesWritten(store),
    };
  } catch (thrown) {
    if (thrown instanceof MeshnetError || thrown instanceof Deno.errors.NotFound) return undefined;
    if (thrown instanceof Deno.errors.PermissionDenied) return undefined;
    throw thrown;
  }
}

/** What a person has to do about the addresses of a host whose daemon could not hand them over. */
export function notHandedOver({ name, ownsAddresses }: LeftState): string | undefined {
  if (!ownsAddresses || name === undefined) return undefined;
  return `The addresses that this host owns are not handed over to the others, as no daemon runs: run \`meshnet rmpeer ${name}\` ` +
    "on one of them, unless this host was alone";
}
