/** Packets as they arrive at this host, before its kernel judges them. */
import { type Ip, ipToBytes, isIpv4 } from "../mod/core/addr.ts";
import { pointerOf, putAddress } from "./address.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls } from "./packet_symbols.ts";

/** Octets of a packet that are kept: whoever looks wants to know who it is from. */
const KEPT = 128;
/** More addresses than this do not fit one filter, whose jumps have eight bits. */
const MOST = 64;
/** struct sockaddr_ll: family 2, protocol 2 (big-endian), index 4, type of hardware 2, kind of packet 1, length 1, address 8. */
const LINK_ADDRESS = { octets: 20, room: 128, protocol: 2, index: 4, kind: 10 } as const;
const PACKET_OUTGOING = 4;
const SO_ATTACH_FILTER = 26;
/** Instructions of the classic packet filter (linux/filter.h). */
const BPF = { loadWord: 0x20, jumpIfEqual: 0x15, give: 0x06 } as const;

/** Where things lie in what is heard: at the beginning of the packet, or of the frame. */
const AT = { ipv4Source: 12, arpSender: 28 } as const;

/** What arrived. */
export interface HeardPacket {
  /** Index of the interface. */
  readonly interface: number;
  /** Its first octets: of a frame with its header for ARP, of the packet for IPv4. Valid until the next call. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Hears packets of some senders, of the network namespace of the calling thread, also those that the kernel is about to
 * drop. What this host sends itself is left out. */
export class PacketListener implements Disposable {
  readonly #packet = new Uint8Array(new ArrayBuffer(KEPT));
  readonly #from = new Uint8Array(new ArrayBuffer(LINK_ADDRESS.room));
  readonly #length = new Uint32Array(new ArrayBuffer(4));
  #fd: number;

  /** Hears packets with an IPv4 address of `from` as their sender; of ARP those that say that the sender has it. Throws
   * MeshnetError "native/call-failed". */
  constructor(kind: "ipv4" | "arp", from: readonly Ip[]) {
    const [ethertype, type, at] = kind === "arp"
      ? [0x0806, C.SOCK_RAW, AT.arpSender]
      : [0x0800, C.SOCK_DGRAM, AT.ipv4Source];
    this.#fd = libc().socket(C.AF_PACKET, type | C.SOCK_CLOEXEC, 0); // hears nothing yet
    if (this.#fd < 0) throw callFailed("open packet socket", lastErrno());
    try {
      this.#filter(at, from.filter(isIpv4).slice(0, MOST));
      const address = new Uint8Array(new ArrayBuffer(LINK_ADDRESS.octets));
      new DataView(address.buffer).setUint16(0, C.AF_PACKET, true);
      new DataView(address.buffer).setUint16(LINK_ADDRESS.protocol, ethertype);
      if (packetCalls().bind(this.#fd, address, address.length) !== 0) {
        throw callFailed("hear packets", lastErrno());
      }
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
  }

  /** The next one; undefined: there is none now. */
  receive(): HeardPacket | undefined {
    if (this.#fd < 0) throw new TypeError("Cannot hear packets: listener is disposed");
    for (;;) {
      this.#length[0] = LINK_ADDRESS.octets;
      const length = new Uint8Array(this.#length.buffer);
      const got = packetCalls().recvfrom(
        ...[this.#fd, this.#packet, BigInt(KEPT), C.MSG_DONTWAIT, this.#from, length] as const,
      );
      if (got < 0) return undefined;
      if (this.#from[LINK_ADDRESS.kind] === PACKET_OUTGOING) continue;
      const index = new DataView(this.#from.buffer).getInt32(LINK_ADDRESS.index, true);
      return { interface: index, bytes: this.#packet.subarray(0, Math.min(got, KEPT)) };
    }
  }

  /** Closes the socket. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }

  /** Has the kernel pass on only what has one of these addresses at an offset. */
  #filter(at: number, ips: readonly Ip[]): void {
    const numbers = ips.map((ip) => new DataView(ipToBytes(ip).buffer).getUint32(0));
    const steps: readonly (readonly [code: number, jump: number, k: number])[] = [
      [BPF.loadWord, 0, at],
      ...numbers.map((number, i) => [BPF.jumpIfEqual, numbers.length - i, number] as const),
      [BPF.give, 0, 0],
      [BPF.give, 0, KEPT],
    ];
    const program = new Uint8Array(new ArrayBuffer(8 * steps.length + 64));
    const view = new DataView(program.buffer);
    for (const [i, [code, jump, k]] of steps.entries()) {
      view.setUint16(8 * i, code, true);
      view.setUint8(8 * i + 2, jump);
      view.setUint32(8 * i + 4, k, true);
    }
    const described = new Uint32Array(new ArrayBuffer(16));
    described[0] = steps.length;
    putAddress(described, 2, pointerOf(program));
    const set = libc().setsockopt(
      this.#fd,
      C.SOL_SOCKET,
      SO_ATTACH_FILTER,
      new Uint8Array(described.buffer),
      16,
    );
    if (set !== 0) throw callFailed("choose packets to hear", lastErrno());
  }
}
