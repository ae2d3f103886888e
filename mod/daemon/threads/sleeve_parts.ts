/** What the user-space path is made of in a running daemon: ciphers, UDP socket, TAP. */
import { AesGcm } from "../../../ffi/aes_gcm.ts";
import { SodiumSecretbox } from "../../../ffi/sodium.ts";
import { Tap } from "../../../ffi/tap.ts";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { DataplaneConfig } from "../../overlay/ports/dataplane_messages.ts";
import { SleeveEngine } from "../../sleeve/sleeve_engine.ts";
import type { PeerDirectory, SleevePort, TakePacket } from "../../overlay/ports/sleeve_port.ts";
import { gcmKeys, secretboxCipher, type SleeveCiphers } from "../../sleeve/sleeve_seal.ts";
import type { TapPort } from "../../overlay/ports/tap_port.ts";
import { loadHkdf, loadSealer } from "../../sys/sealer.ts";
import { peerNumber } from "../../wire/mesh/sleeve.ts";
import { TAP_NAME, TAP_PACKET } from "../../overlay/ports/tap_port.ts";
import { decodeSendDropped, getStatistics } from "../../wire/netlink/rtnetlink.ts";
import { openNetlinkIn } from "../host/netlink.ts";

const PROBE_KEY = new Uint8Array(32);

/** Whether AES-256-GCM can be had on this host, and so be announced. */
export function hasGcm(): boolean {
  try {
    new AesGcm({ seal: PROBE_KEY, open: PROBE_KEY });
    return true;
  } catch {
    return false;
  }
}

/** Without a password no link is sealed: no library is opened. */
const NO_CIPHERS: SleeveCiphers = {
  secretbox() {
    throw new TypeError("Cannot seal a link: this host was started without a password");
  },
  gcm: () => undefined,
};

/** The ciphers; without libsodium the same one from the handshake's library, a tenth as fast, which the log says. */
async function loadCiphers(log: Logger): Promise<SleeveCiphers> {
  const deriveKey = await loadHkdf();
  const gcm = (key: Uint8Array, outbound: boolean) =>
    hasGcm() ? new AesGcm(gcmKeys(deriveKey, key, outbound)) : undefined;
  try {
    new SodiumSecretbox(PROBE_KEY);
    return { secretbox: (key) => new SodiumSecretbox(key), gcm };
  } catch (thrown) {
    log.info("overlay/slow-cipher", {
      reason: `${messageOf(thrown)}; encrypted traffic in user space is slow with peers of other makes`,
    });
    const sealer = await loadSealer();
    return { secretbox: (key) => secretboxCipher(sealer, key), gcm };
  }
}

/** The parts of the user-space path, opened but not yet put together. */
export interface SleeveParts extends Disposable {
  readonly tap: TapPort;
  /** Puts links' end together; it owns the UDP socket from then on. */
  readonly openPath: (take: TakePacket) => SleevePort;
}

/** Opens socket and TAP. Throws MeshnetError before it has changed anything when either cannot be had. */
export async function openSleeve(
  config: DataplaneConfig,
  { directory, log, made }: {
    readonly directory: PeerDirectory;
    readonly log: Logger;
    /** Called each time the TAP's interface has been made. */
    readonly made: (name: string) => void;
  },
): Promise<SleeveParts> {
  const ciphers = config.encrypts ? await loadCiphers(log) : NO_CIPHERS;
  using undo = new DisposableStack();
  const socket = undo.use(UdpSocket.open({ port: config.sleeve.port, host: config.sleeve.host }));
  const tap = undo.use(Tap.open({ name: TAP_NAME, longest: TAP_PACKET, made }));
  const parts = undo.move();
  const self = peerNumber(config.peer);
  return {
    tap,
    openPath: (take) => {
      const { mtu } = config;
      const joinUdp = tap.udpOffload;
      return new SleeveEngine({ socket, ciphers, self, directory, take, mtu, joinUdp, tapLost });
    },
    [Symbol.dispose]: () => parts[Symbol.dispose](),
  };
}

/** What the kernel had for the TAP and no room in its queue; 0 while it does not tell. Asked for with each report only. */
function tapLost(): number {
  try {
    using route = openNetlinkIn({ protocol: "route" });
    const [reply] = route.request(getStatistics(TAP_NAME));
    const dropped = reply && decodeSendDropped(reply);
    return dropped?.ok ? dropped.value : 0;
  } catch {
    return 0; // the TAP is being made again
  }
}
