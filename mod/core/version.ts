/** The release, in one place: the command, the daemon and the handshake's logs read it. */

/** Version of this build. */
export const VERSION = "0.1.0";
