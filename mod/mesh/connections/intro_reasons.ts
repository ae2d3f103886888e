/** Why an introduction failed, in words for people: the likely fault, then what to do. No full stop. */
import { toHex } from "../../core/bytes.ts";

/** We announced encryption, the peer did not. */
export const ONLY_WE_HAVE_PASSWORD =
  "this host has a password and the peer has none: set the same password on both";
/** The peer announced encryption, we did not. */
export const ONLY_PEER_HAS_PASSWORD =
  "the peer has a password and this host has none: set the same password on both";
/** A public key for which every private key gives the same secret. */
export const BAD_KEY =
  "the peer's public key is not usable: something between the hosts may be tampering with it";

/** The first bytes are not those of a mesh peer. */
export function badHeader(header: Uint8Array): string {
  const text = String.fromCharCode(...header);
  const shown = /^[\x20-\x7e]*$/.test(text) ? JSON.stringify(text) : toHex(header);
  return `the other end is not a mesh peer, it says ${shown}: check the address and the port`;
}

/** The ranges of versions do not meet. */
export function noCommonVersion(
  ours: { readonly min: number; readonly max: number },
  theirs: { readonly min: number; readonly max: number },
): string {
  const range = ({ min, max }: { min: number; max: number }) => min === max ? `${min}` : `${min} to ${max}`;
  return `the peer speaks protocol version ${range(theirs)} and this host ${range(ours)}: ` +
    "upgrade the older one, or lower the newer one's minimum protocol version";
}

/** Neither "encrypted" nor "not encrypted". */
export function badEncryptionFlag(flag: number): string {
  return `the peer announced encryption of unknown kind ${flag}: upgrade the older of the two hosts`;
}

/** Features that could not be read. */
export function badFeatures(reason: string): string {
  return `the peer's introduction is not valid: ${reason}`;
}

/** Ten seconds without a header. */
export function headerTimeout(received: number): string {
  return received === 0
    ? "the peer accepted the connection and said nothing for 10 s: check that the port is the mesh port " +
      "and that no firewall stands between"
    : `the peer sent ${received} bytes of its greeting and then nothing for 10 s: check that the port is the mesh port`;
}

/** A minute without features. */
export function restTimeout(): string {
  return "the peer did not complete its introduction within 60 s: it may be overloaded, or the network loses packets";
}

/** The remote closed when it knew who this host is, and has said nothing: another host has its name, or there are too many
 * connections. */
export function closedUnheard(reason: string): string {
  return `${reason} as soon as it knew who this host is: \`meshnet status\` and the log there say why`;
}

/** The remote closed before the end. Peers never say why they refuse, so this tells what it probably means. */
export function closedEarly(
  stage: "header" | "announcement" | "features",
  how: { readonly encrypted: boolean; readonly hasPassword: boolean },
): string {
  const closed = "the peer closed the connection";
  if (stage === "header") {
    return `${closed} without a greeting: it may be stopping or busy, or the port is not the mesh port`;
  }
  if (stage === "announcement") {
    // What it said of its own password may be lost: closing with unread octets resets a connection.
    return how.hasPassword
      ? "this host has a password and the peer probably has none, for it closed the connection on learning that: " +
        "set the same password on both"
      : "the peer probably has a password and this host has none, for it closed the connection on learning that: " +
        "set the same password on both";
  }
  return how.encrypted
    ? `${closed} during the introduction: the passwords probably differ`
    : `${closed} during the introduction: see its log for the reason`;
}
