/** Text that other peers choose and people read: bounded, and harmless on a terminal. */

/** Longest nickname that is kept, in UTF-16 units. */
export const MAX_NICKNAME = 255;
/** Longest address of a link that is kept: IPv6 with a zone and a port takes 70. */
export const MAX_ADDRESS = 80;

/** A nickname as it is kept: cut to a bound, with nothing that moves the cursor, turns text around or cannot be seen. */
export function nicknameOf(text: string): string {
  return text.slice(0, MAX_NICKNAME).toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
}

/** An address as it is kept; what is too long to be one or has other than printable ASCII is as good as none. */
export function addressText(text: string): string {
  return text.length <= MAX_ADDRESS && /^[\x20-\x7e]*$/.test(text) ? text : "";
}
