/** Frames between new addresses, no more at once than the hosts have decided: as many as they can take, however fast the
 * machine is. */
import { type Mac, macToBytes, parseMac } from "../../../mod/core/addr.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { Capture, type Container } from "./container.ts";
import { links } from "./links.ts";
import { until } from "./process.ts";

/** EtherTypes for local experiments: of frames, and of the marks behind them. */
const [FRAME, MARK] = [0x88b5, 0x88b6] as const;
const LENGTH = 60;

/** A frame of an experimental type. */
export function frameBetween(source: Mac, destination: Mac, type: number = FRAME): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(LENGTH);
  frame.set(macToBytes(destination));
  frame.set(macToBytes(source), 6);
  new DataView(frame.buffer).setUint16(12, type);
  return frame;
}

/** Sends frames from a container, and waits behind each batch until all hosts on the way to another one have decided it. */
export class PacedFrames implements AsyncDisposable {
  /** Of all senders: no mark's address shows up in two places. */
  static #sources = 0x02_00_5e_0f_00_00;
  #marks = 0;

  private constructor(
    readonly from: Container,
    readonly mac: Mac,
    readonly capture: Capture,
  ) {}

  /** The way goes to `to`. */
  static async start(from: Container, to: Container): Promise<PacedFrames> {
    const { address } = (await links(to.netns)).find(({ ifname }) => ifname === "ethmesh")!;
    const capture = await Capture.start(to.netns, "ethmesh", `ether proto ${MARK}`);
    return new PacedFrames(from, parseMac(address)!, capture);
  }

  /** Sends a batch. A mark follows it, from an address that nobody knows either: it waits where the batch waits. */
  async send(frames: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    const mark = frameBetween(PacedFrames.#sources++ as Mac, this.mac, MARK);
    this.#marks++;
    sendFrames(`/run/netns/${this.from.netns}`, "ethmesh", [...frames, mark]);
    await until(`mark ${this.#marks} arrives`, () => this.capture.packets.length >= this.#marks, {
      everyMs: 5,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.capture[Symbol.asyncDispose]();
  }
}
