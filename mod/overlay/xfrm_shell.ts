/** Carries out what the core wants of the kernel's IPsec. */
import type { Ip } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import { ERRNO } from "../core/errno.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import { type PeerName, peerNameToNumber } from "../core/names.ts";
import type { Logger, NetlinkSocket, Random } from "../core/ports.ts";
import {
  allocSpi,
  deletePolicy,
  deleteSa,
  DIRECTION,
  dumpPolicies,
  dumpSas,
  ESP_KEY_LENGTH,
  newPolicy,
  newSa,
  type PolicyDirection,
  type PolicySelector,
  type PolicyVerdict,
  updatePolicy,
  updateSa,
} from "../wire/xfrm.ts";
import {
  decodePolicy,
  decodeSa,
  isPortPolicy,
  type PolicyRecord,
  type SaRecord,
} from "../wire/xfrm_reply.ts";
import { ESP_NONCE_LENGTH } from "./esp_init.ts";
import type { EspPath, XfrmEffect, XfrmNews } from "./esp_port.ts";

/** By these our policies (priority) and associations (reqid) are known, those of an earlier run too. */
export const OWN_MARK = 0x4d4e;

/** HKDF-SHA256: so many octets. */
export type DeriveKey = (
  secret: Uint8Array,
  use: { readonly salt: Uint8Array; readonly info: Uint8Array; readonly length: number },
) => Uint8Array;

/** What the shell is made of. */
export interface XfrmParts {
  /** Opens a socket of NETLINK_XFRM; throws when the kernel has none. */
  readonly open: () => NetlinkSocket;
  readonly random: Random;
  readonly deriveKey: DeriveKey;
  readonly self: PeerName;
  readonly log: Logger;
}

/** Key of a direction: bound to the session, the receiver's nonce and the receiver's name (spec dataplane.md 4.1). */
export function espKey(
  deriveKey: DeriveKey,
  { secret, nonce, receiver }: { secret: Uint8Array; nonce: Uint8Array; receiver: PeerName },
): Uint8Array {
  const info = new Uint8Array(8);
  new DataView(info.buffer).setBigUint64(0, BigInt(peerNameToNumber(receiver)));
  return deriveKey(secret, { salt: nonce, info, length: ESP_KEY_LENGTH });
}

/** Policies of ours that are in the kernel, and everything that is done with them. Nothing throws; answers are posted. */
export class XfrmShell implements Disposable {
  #socket: NetlinkSocket | undefined;
  /** What an earlier run left, until claimed. */
  #earlier: { policies: PolicyRecord[]; sas: SaRecord[] } | undefined;

  constructor(readonly parts: XfrmParts) {}

  /** Performs an effect; the answer, if there is one, is posted before it returns. */
  perform(effect: XfrmEffect, post: (news: XfrmNews) => void): void {
    switch (effect.do) {
      case "guard":
        return post({
          kind: "xfrm-guarded",
          path: effect.path,
          reason: this.#try(() => this.#guard(effect.path)),
        });
      case "receive":
      case "send": {
        const { link, round } = effect;
        const reason = this.#try(() =>
          effect.do === "send" ? this.#send(effect, post) : this.#receive(effect, post)
        );
        if (reason !== undefined) post({ kind: "xfrm-failed", link, round, reason });
        return;
      }
      case "unguard":
        return this.#quietly("unguard", () => this.#unguard(effect.path));
      case "keep":
        return this.#quietly("keep", () => {
          this.#requireSealed(effect.path);
          this.#carry(effect.path, effect.spi);
        });
      case "carry":
        return this.#quietly("carry", () => this.#carry(effect.path, effect.spi));
      case "forget":
        return this.#quietly("forget", () => this.#remove(deleteSa(effect.sa)));
      case "forget-earlier":
        return this.#quietly("forget-earlier", () => this.#forgetEarlier());
      default:
        assertNever(effect);
    }
  }

  #open(): NetlinkSocket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = this.parts.open();
    try {
      this.#earlier ??= ownState(socket);
    } catch (thrown) {
      socket[Symbol.dispose]();
      throw thrown;
    }
    return this.#socket = socket;
  }

  #try(run: () => void): string | undefined {
    try {
      run();
      return undefined;
    } catch (thrown) {
      return explain(thrown);
    }
  }

  /** Clean-up that fails leaves things blocked, never open: it is said and that is all. */
  #quietly(what: string, run: () => void): void {
    const reason = this.#try(run);
    if (reason !== undefined) this.parts.log.debug("overlay/ipsec", { what, reason });
  }

  #guard(path: EspPath): void {
    const socket = this.#open();
    const [outbound] = policiesOf(path);
    this.#requireSealed(path);
    try {
      socket.request(newPolicy({ ...outbound, priority: OWN_MARK, verdict: { kind: "block" } }));
    } catch (thrown) {
      if (!isErrno(thrown, ERRNO.EEXIST)) throw thrown;
      // An earlier run's, which goes through ESP or blocks. Another program's would be replaced.
      if (!this.#isEarlier(path)) this.#setOut(path, { kind: "block" });
    }
    const earlier = this.#earlier!;
    earlier.policies = earlier.policies.filter((policy) => !isOf(policy, path));
  }

  #requireSealed(path: EspPath): void {
    const [, inbound] = policiesOf(path);
    const verdict = { kind: "esp", spi: 0, reqid: OWN_MARK } as const;
    this.#open().request(updatePolicy({ ...inbound, priority: OWN_MARK, verdict }));
  }

  #isEarlier(path: EspPath): boolean {
    return this.#earlier!.policies.some((policy) => isOf(policy, path) && policy.direction === DIRECTION.out);
  }

  #setOut(path: EspPath, verdict: PolicyVerdict): void {
    const [outbound] = policiesOf(path);
    this.#open().request(updatePolicy({ ...outbound, priority: OWN_MARK, verdict }));
  }

  #carry(path: EspPath, spi: number | undefined): void {
    this.#setOut(path, spi === undefined ? { kind: "block" } : { kind: "esp", spi, reqid: OWN_MARK });
  }

  #receive(effect: Extract<XfrmEffect, { do: "receive" }>, post: (news: XfrmNews) => void): void {
    const { link, path, round, sessionKey } = effect;
    const socket = this.#open();
    const pair = { src: path.remote, dst: path.local };
    const [reply] = socket.request(allocSpi({ ...pair, reqid: OWN_MARK }));
    const made = reply === undefined ? undefined : decodeSa(reply);
    if (made?.ok !== true || made.value === undefined) throw new TypeError("the kernel names no SPI");
    const { spi } = made.value;
    const { deriveKey, random, self } = this.parts;
    const nonce = random.bytes(ESP_NONCE_LENGTH);
    const key = espKey(deriveKey, { secret: sessionKey, nonce, receiver: self });
    try {
      socket.request(updateSa({ ...pair, spi, key, reqid: OWN_MARK, bound: true }));
    } catch (thrown) {
      this.#quietly("forget", () => this.#remove(deleteSa({ ...pair, spi })));
      throw thrown;
    }
    post({ kind: "xfrm-receiving", link, round, spi, nonce });
  }

  #send(effect: Extract<XfrmEffect, { do: "send" }>, post: (news: XfrmNews) => void): void {
    const { link, nonce, path, peer, round, sessionKey, spi } = effect;
    const pair = { src: path.local, dst: path.remote };
    const key = espKey(this.parts.deriveKey, { secret: sessionKey, nonce, receiver: peer });
    this.#open().request(newSa({ ...pair, spi, key, reqid: OWN_MARK, bound: true }));
    this.#carry(path, spi);
    post({ kind: "xfrm-sending", link, round });
  }

  #unguard(path: EspPath): void {
    // Where nothing was ever guarded the kernel need not have IPsec at all.
    if (this.#socket === undefined && !this.#canOpen()) return;
    if (this.#earlier !== undefined) {
      const { policies } = this.#earlier;
      this.#earlier.policies = policies.filter((policy) => !isOf(policy, path));
    }
    for (const policy of policiesOf(path)) {
      this.#remove(deletePolicy(policy));
    }
  }

  #canOpen(): boolean {
    try {
      this.#open();
      return true;
    } catch {
      return false;
    }
  }

  #forgetEarlier(): void {
    if (this.#socket === undefined && !this.#canOpen()) return;
    const earlier = this.#earlier!;
    for (const policy of earlier.policies) this.#remove(deletePolicy(selectorOf(policy)));
    for (const sa of earlier.sas) this.#remove(deleteSa(sa));
    this.#earlier = { policies: [], sas: [] };
  }

  #remove(message: Uint8Array<ArrayBuffer>): void {
    removeIfThere(this.#open(), message);
  }

  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
  }
}

/** Removes every policy and association of ours; how many there were. */
export function removeOwnXfrm(socket: NetlinkSocket): number {
  const { policies, sas } = ownState(socket);
  for (const policy of policies) removeIfThere(socket, deletePolicy(selectorOf(policy)));
  for (const sa of sas) removeIfThere(socket, deleteSa(sa));
  return policies.length + sas.length;
}

function ownState(socket: NetlinkSocket): { policies: PolicyRecord[]; sas: SaRecord[] } {
  const policies: PolicyRecord[] = [];
  const sas: SaRecord[] = [];
  for (const reply of socket.request(dumpPolicies())) {
    const policy = decodePolicy(reply);
    if (!policy.ok || policy.value === undefined) continue;
    if (policy.value.priority === OWN_MARK && isPortPolicy(policy.value)) policies.push(policy.value);
  }
  for (const reply of socket.request(dumpSas())) {
    const sa = decodeSa(reply);
    if (sa.ok && sa.value?.reqid === OWN_MARK) sas.push(sa.value);
  }
  return { policies, sas };
}

function removeIfThere(socket: NetlinkSocket, message: Uint8Array<ArrayBuffer>): void {
  try {
    socket.request(message);
  } catch (thrown) {
    if (!isErrno(thrown, ERRNO.ENOENT) && !isErrno(thrown, ERRNO.ESRCH)) throw thrown;
  }
}

function policiesOf({ local, port, remote }: EspPath): readonly [PolicySelector, PolicySelector] {
  const common = { port, mark: undefined };
  return [
    { ...common, direction: "out", src: local, dst: remote },
    { ...common, direction: "in", src: remote, dst: local },
  ];
}

function selectorOf({ direction, dst, port, src }: PolicyRecord): PolicySelector {
  const way: PolicyDirection = direction === DIRECTION.out ? "out" : "in";
  return { direction: way, src, dst, port, mark: undefined };
}

function isOf(policy: PolicyRecord, path: EspPath): boolean {
  const [local, remote]: readonly [Ip, Ip] = policy.direction === DIRECTION.out
    ? [policy.src, policy.dst]
    : [policy.dst, policy.src];
  return local === path.local && remote === path.remote && policy.port === path.port;
}

function isErrno(thrown: unknown, errno: number): boolean {
  return thrown instanceof MeshnetError && thrown.errno === errno;
}

/** Errors by which a kernel says that it lacks something. */
const LACKING: ReadonlySet<number> = new Set([
  ...[ERRNO.EPROTONOSUPPORT, ERRNO.EAFNOSUPPORT, ERRNO.ENOSYS, ERRNO.EOPNOTSUPP],
]);

function explain(thrown: unknown): string {
  const errno = thrown instanceof MeshnetError ? thrown.errno : undefined;
  if (errno !== undefined && LACKING.has(errno)) {
    return "encryption of fastdp needs IPsec, and this kernel has none: load the modules xfrm_user, esp4 and gcm";
  }
  return `encryption of fastdp by the kernel (IPsec) does not work: ${messageOf(thrown)}`;
}
