/** A kernel that keeps IPsec policies and associations, and tells of changes. */
import { ERRNO } from "../../../mod/core/errno.ts";
import type { NetlinkSocket } from "../../../mod/core/ports.ts";
import { AttributeReader } from "../../../mod/wire/netlink/netlink.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { XFRM_MSG, XFRMA } from "../../../mod/wire/netlink/xfrm.ts";
import { FakeNotices, headOf, refusal } from "../kernel_messages.ts";

type Message = Uint8Array<ArrayBuffer>;

/** Offsets of a policy's direction in its messages, behind the header. */
const POLICY_DIRECTION = 160;
const ID_DIRECTION = 60;
const SA_LENGTH = 16 + 224;
/** Port id of the socket that the shell uses, and of everybody else. */
const OURS = 1;
const FOREIGN = 99;

/** Keeps messages by selector and SPI, as the kernel does. */
export class FakeXfrm implements NetlinkSocket {
  readonly portId = OURS;
  readonly policies = new Map<string, Message>();
  readonly sas = new Map<string, Message>();
  readonly notices = new FakeNotices(7);
  /** Message types that are refused, with the error. */
  readonly refused = new Map<number, number>();
  /** Requests so far. */
  asked: (readonly [type: number, message: Message])[] = [];
  readonly #sub: boolean;
  #by = OURS;

  /** `sub`: whether there is a second table of policies. */
  constructor({ sub = true } = {}) {
    this.#sub = sub;
  }

  /** A request of another program. */
  foreign(message: Message): void {
    this.#by = FOREIGN;
    this.request(message);
    this.#by = OURS;
  }
  /** Another program removes all policies of a table. */
  flushPolicies(sub = false): void {
    for (const key of this.policies.keys()) if (key.endsWith(" sub") === sub) this.policies.delete(key);
    this.#tell(new NetlinkWriter(64).begin(XFRM_MSG.flushPolicy, 0).end().finish(), FOREIGN);
  }
  /** Another program removes all associations. */
  flushSas(): void {
    this.sas.clear();
    this.#tell(
      new NetlinkWriter(64).begin(XFRM_MSG.flushSa, 0).raw(Uint8Array.of(50)).end().finish(),
      FOREIGN,
    );
  }
  /** An association has reached a limit. */
  expire(spi: number, hard: boolean): void {
    const state = this.sa(spi)!.subarray(16, SA_LENGTH);
    const writer = new NetlinkWriter(512).begin(XFRM_MSG.expire, 0).raw(state);
    this.#tell(writer.u8(hard ? 1 : 0).raw(new Uint8Array(7)).end().finish(), 0);
  }
  /** What the kernel makes of an association that is wanted and not there. */
  larval(spi: number): void {
    const larval = this.sa(spi)!.slice(0, SA_LENGTH);
    new DataView(larval.buffer).setUint32(0, SA_LENGTH, true);
    this.sas.set(String(spi), larval);
  }
  /** The association of a number. */
  sa(spi: number): Message | undefined {
    return this.sas.get(String(spi));
  }

  request(message: Message): readonly Uint8Array[] {
    const { dump, type } = headOf(message);
    this.asked.push([type, message.slice()]);
    const errno = this.refused.get(type);
    if (errno !== undefined) throw refusal(errno);
    if (dump) return [...(type === XFRM_MSG.getSa ? this.sas : this.policies).values()];
    switch (type) {
      case XFRM_MSG.newPolicy:
      case XFRM_MSG.updPolicy: {
        const key = this.#policyKey(message, POLICY_DIRECTION, 16 + 168);
        if (type === XFRM_MSG.newPolicy && this.policies.has(key)) throw refusal(ERRNO.EEXIST);
        const policy = retyped(message, XFRM_MSG.newPolicy);
        this.policies.set(key, policy);
        this.#tell(retyped(policy, type));
        return [];
      }
      case XFRM_MSG.getPolicy:
      case XFRM_MSG.delPolicy: {
        const key = this.#policyKey(message, ID_DIRECTION, 16 + 64);
        const policy = this.policies.get(key);
        if (policy === undefined) throw refusal(ERRNO.ENOENT);
        if (type === XFRM_MSG.getPolicy) return [policy];
        this.policies.delete(key);
        const writer = new NetlinkWriter(1024).begin(XFRM_MSG.delPolicy, 0).raw(message.subarray(16, 80));
        writer.attrBytes(XFRMA.policy, policy.subarray(16, 16 + 168)).raw(policy.subarray(16 + 168));
        this.#tell(writer.end().finish());
        return [];
      }
      case XFRM_MSG.allocSpi: {
        const larval = retyped(message.slice(0, SA_LENGTH), XFRM_MSG.newSa);
        new DataView(larval.buffer).setUint32(0, SA_LENGTH, true);
        new DataView(larval.buffer).setUint32(16 + 72, 0xabcd);
        this.sas.set(saKey(larval, 72), larval);
        return [larval];
      }
      case XFRM_MSG.updSa:
      case XFRM_MSG.newSa: {
        const key = saKey(message, 72);
        if (type === XFRM_MSG.newSa && this.sas.has(key)) throw refusal(ERRNO.EEXIST);
        const sa = retyped(message, XFRM_MSG.newSa);
        this.sas.set(key, sa);
        this.#tell(retyped(sa, type));
        return [];
      }
      case XFRM_MSG.delSa: {
        const key = saKey(message, 16);
        const sa = this.sas.get(key);
        if (sa === undefined) throw refusal(ERRNO.ESRCH);
        this.sas.delete(key);
        const writer = new NetlinkWriter(512).begin(XFRM_MSG.delSa, 0).raw(message.subarray(16, 40));
        this.#tell(writer.attrBytes(XFRMA.sa, sa.subarray(16, SA_LENGTH)).end().finish());
        return [];
      }
      default:
        throw new Error(`unknown type ${type}`);
    }
  }
  send(): void {}
  [Symbol.dispose](): void {}

  /** What becomes of packets outwards: "block", an SPI, or nothing is said. */
  get out(): string | undefined {
    const message = this.policies.entries().find(([key]) => key.startsWith("out"))?.[1];
    if (message === undefined) return undefined;
    if (message[16 + 161] === 1) return "block";
    const reader = new AttributeReader(message, 16 + 168);
    while (reader.next()) if (reader.type === XFRMA.template) break;
    return new DataView(message.buffer).getUint32(reader.start + 16).toString(16);
  }

  #policyKey(message: Message, direction: number, attributes: number): string {
    const reader = new AttributeReader(message, attributes);
    let sub = false;
    while (reader.next()) if (reader.type === XFRMA.policyType) sub = reader.u8() === 1;
    if (sub && !this.#sub) throw refusal(ERRNO.EINVAL);
    const selector = message.slice(16, 16 + 56).join(".");
    return `${message[16 + direction] === 1 ? "out" : "in"} ${selector}${sub ? " sub" : ""}`;
  }

  #tell(message: Message, by = this.#by): void {
    new DataView(message.buffer).setUint32(12, by, true);
    new DataView(message.buffer).setUint32(0, message.length, true);
    this.notices.queue.push(message);
  }
}

const saKey = (message: Message, at: number) => String(new DataView(message.buffer).getUint32(16 + at));

function retyped(message: Message, type: number): Message {
  const copy = message.slice();
  new DataView(copy.buffer).setUint32(0, copy.length, true);
  new DataView(copy.buffer).setUint16(4, type, true);
  return copy;
}
