/** Carries out what the core wants of the kernel's IPsec. */
import { assertNever } from "../core/brand.ts";
import { ERRNO } from "../core/errno.ts";
import { errnoOf, messageOf } from "../core/errors.ts";
import { type PeerName, peerNameToNumber } from "../core/names.ts";
import type { DeriveKey, Logger, NetlinkSocket, Random } from "../core/ports.ts";
import {
  allocSpi,
  deletePolicy,
  deleteSa,
  DIRECTION,
  ESP_KEY_LENGTH,
  newPolicy,
  newSa,
  type SaSpec,
  updatePolicy,
  updateSa,
} from "../wire/netlink/xfrm.ts";
import { decodeSa, type PolicyRecord, type SaRecord } from "../wire/netlink/xfrm_reply.ts";
import type { NoticeSocket } from "../overlay/ports/datapath_port.ts";
import { ESP_NONCE_LENGTH } from "../wire/mesh/esp_init.ts";
import type { EspPath, Ipsec, WantedPath, XfrmEffect, XfrmNews } from "../overlay/ports/esp_port.ts";
import { allPolicies, deleteIfThere, hasSubPolicies, ownSas, ownState } from "./xfrm_kernel_shell.ts";
import { INWARDS, isOf, outwards, OWN_MARK, planPolicies, policiesOf, selectorOf } from "./xfrm_plan.ts";
import { XfrmWatch } from "./xfrm_watch_shell.ts";

/** So many packets of a key towards us, and a new one is made where the peer can follow. Counters have 64 bits and would
 * not run out; it bounds what one key is used for. */
export const SOFT_PACKETS = 2 ** 32;
/** Requests that may wait for ciphers: two for each link. */
const WAITING_LIMIT = 4096;

type PostNews = (news: XfrmNews) => void;
type KeyEffect = Extract<XfrmEffect, { do: "receive" | "send" }>;

/** What the shell is made of. */
export interface XfrmParts {
  /** Opens a socket of NETLINK_XFRM; throws when the kernel has none. */
  readonly open: () => NetlinkSocket;
  /** What hears of changes; undefined where nothing is encrypted, or the kernel does not tell. */
  readonly notices: NoticeSocket | undefined;
  /** Keys have to wait for ciphersReady(): the kernel may take seconds to load what they need, and a request for it would
   * stop this thread meanwhile. */
  readonly ciphersLater: boolean;
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
export class XfrmShell implements Ipsec, Disposable {
  #socket: NetlinkSocket | undefined;
  /** What an earlier run left, until claimed. */
  #earlier: { policies: PolicyRecord[]; sas: SaRecord[] } | undefined;
  /** Whether the kernel has a second table of policies. */
  #sub = false;
  /** Guarded paths, as `local>remote:port`. */
  readonly #guarded = new Set<string>();
  readonly #watch: XfrmWatch | undefined;
  /** What waits for ciphers; undefined: nothing has to. */
  #waiting: { readonly effect: KeyEffect; readonly post: PostNews }[] | undefined;

  constructor(readonly parts: XfrmParts) {
    const { ciphersLater, notices } = parts;
    this.#waiting = ciphersLater ? [] : undefined;
    if (notices === undefined) return;
    this.#watch = new XfrmWatch(notices, {
      self: () => this.#socket?.portId ?? -1,
      guards: (path) => this.#guarded.has(path),
    });
  }

  /** See Ipsec. */
  get fds(): readonly number[] {
    return this.#watch === undefined ? [] : [this.#watch.socket.fd];
  }

  /** See Ipsec. */
  take(post: PostNews): void {
    if (this.#watch === undefined) return;
    const { disturbed, worn } = this.#watch.take();
    if (disturbed) post({ kind: "xfrm-disturbed" });
    for (const sa of worn) post({ kind: "xfrm-worn", sa });
  }

  /** See Ipsec. */
  ciphersReady(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const { effect, post } of waiting) this.#key(effect, post);
  }

  /** See Ipsec. */
  perform(effect: XfrmEffect, post: PostNews): void {
    switch (effect.do) {
      case "guard":
        return post({
          kind: "xfrm-guarded",
          path: effect.path,
          reason: this.#try(() => this.#guard(effect.path)),
        });
      case "receive":
      case "send":
        if (this.#waiting === undefined || this.#waiting.length >= WAITING_LIMIT) {
          return this.#key(effect, post);
        }
        return void this.#waiting.push({ effect, post });
      case "unguard":
        return this.#quietly("unguard", () => this.#unguard(effect.path));
      case "keep":
        return this.#keep(effect.wanted, post);
      case "carry":
        return this.#quietly("carry", () => this.#carry(effect.path, effect.spi));
      case "forget": {
        const { dst, spi } = effect.sa;
        this.#waiting = this.#waiting?.filter(({ effect: { path, ...key } }) =>
          key.do !== "send" || key.spi !== spi || path.remote !== dst
        );
        return this.#quietly("forget", () => this.#remove(deleteSa(effect.sa)));
      }
      case "forget-earlier":
        return this.#quietly("forget-earlier", () => this.#forgetEarlier());
      default:
        assertNever(effect);
    }
  }

  #key(effect: KeyEffect, post: PostNews): void {
    const { do: of, link, round } = effect;
    const reason = this.#try(() =>
      effect.do === "send" ? this.#send(effect, post) : this.#receive(effect, post)
    );
    if (reason !== undefined) post({ kind: "xfrm-failed", of, link, round, reason });
  }

  #open(): NetlinkSocket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = this.parts.open();
    try {
      this.#earlier ??= ownState(socket);
      this.#sub = hasSubPolicies(socket);
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
    const { in: inbound, out } = policiesOf(path, this.#sub);
    this.#guarded.add(guardKey(path));
    socket.request(updatePolicy({ ...inbound, priority: OWN_MARK, verdict: INWARDS }));
    try {
      socket.request(newPolicy({ ...out, priority: OWN_MARK, verdict: { kind: "block" } }));
    } catch (thrown) {
      if (errnoOf(thrown) !== ERRNO.EEXIST) throw thrown;
      // An earlier run's, which goes through ESP or blocks. Another program's would be replaced.
      if (!this.#isEarlier(path)) this.#carry(path, undefined);
    }
    const earlier = this.#earlier!;
    const [claimed, others] = [
      earlier.policies.filter((p) => isOf(p, path)),
      earlier.policies.filter((p) => !isOf(p, path)),
    ];
    earlier.policies = others;
    // Two tables would seal twice.
    for (const policy of claimed) {
      if (policy.sub !== this.#sub) this.#remove(deletePolicy(selectorOf(policy)));
    }
  }

  #isEarlier(path: EspPath): boolean {
    return this.#earlier!.policies.some((policy) =>
      isOf(policy, path) && policy.direction === DIRECTION.out && policy.sub === this.#sub
    );
  }

  #carry(path: EspPath, spi: number | undefined): void {
    const { out } = policiesOf(path, this.#sub);
    this.#open().request(updatePolicy({ ...out, priority: OWN_MARK, verdict: outwards(spi) }));
  }

  #keep(wanted: readonly WantedPath[], post: PostNews): void {
    let sas: SaRecord[] = [];
    const reason = this.#try(() => {
      const socket = this.#open();
      const changes = planPolicies(wanted, allPolicies(socket), this.#sub);
      for (const policy of changes) socket.request(updatePolicy(policy));
      if (changes.length > 0) {
        this.parts.log.warn("overlay/ipsec-changed-by-others", { policies: changes.length });
      }
      sas = ownSas(socket).filter(({ keyed }) => keyed);
    });
    if (reason === undefined) return post({ kind: "xfrm-present", sas });
    // What is not sure to be guarded must not be used.
    for (const { path } of wanted) post({ kind: "xfrm-guarded", path, reason });
  }

  #receive(effect: Extract<XfrmEffect, { do: "receive" }>, post: PostNews): void {
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
      this.#install(updateSa, { ...pair, spi, key, softPackets: SOFT_PACKETS });
    } catch (thrown) {
      this.#quietly("forget", () => this.#remove(deleteSa({ ...pair, spi })));
      throw thrown;
    } finally {
      key.fill(0);
    }
    post({ kind: "xfrm-receiving", link, round, path, spi, nonce });
  }

  #send(effect: Extract<XfrmEffect, { do: "send" }>, post: PostNews): void {
    const { link, nonce, path, peer, round, sessionKey, spi } = effect;
    const pair = { src: path.local, dst: path.remote };
    const key = espKey(this.parts.deriveKey, { secret: sessionKey, nonce, receiver: peer });
    const sa = { ...pair, spi, key };
    this.#open();
    try {
      this.#install(newSa, sa);
    } catch (thrown) {
      // The peer chose a number that it does not use: ours of that number is a relic.
      const relic = errnoOf(thrown) === ERRNO.EEXIST &&
        ownSas(this.#open()).some((own) => own.spi === spi && own.src === pair.src && own.dst === pair.dst);
      if (!relic) throw thrown;
      this.#remove(deleteSa({ ...pair, spi }));
      this.#install(newSa, sa);
    } finally {
      key.fill(0);
    }
    this.#carry(path, spi);
    post({ kind: "xfrm-sending", link, round });
  }

  /** Adds an association of ours; its key stays nowhere but in the kernel. */
  #install(make: (sa: SaSpec) => Uint8Array<ArrayBuffer>, sa: Omit<SaSpec, "reqid" | "bound">): void {
    const message = make({ ...sa, reqid: OWN_MARK, bound: true });
    try {
      this.#open().request(message);
    } finally {
      message.fill(0);
    }
  }

  #unguard(path: EspPath): void {
    // Where nothing was ever guarded the kernel need not have IPsec at all.
    if (this.#socket === undefined && !this.#canOpen()) return;
    this.#guarded.delete(guardKey(path));
    const { policies } = this.#earlier!;
    this.#earlier!.policies = policies.filter((policy) => !isOf(policy, path));
    for (const policy of policies) if (isOf(policy, path)) this.#remove(deletePolicy(selectorOf(policy)));
    for (const policy of Object.values(policiesOf(path, this.#sub))) this.#remove(deletePolicy(policy));
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
    deleteIfThere(this.#open(), message);
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
  }
}

function guardKey({ local, port, remote }: EspPath): string {
  return `${local}>${remote}:${port}`;
}

/** Errors by which a kernel says that it lacks something. */
const LACKING: ReadonlySet<number> = new Set([
  ...[ERRNO.EPROTONOSUPPORT, ERRNO.EAFNOSUPPORT, ERRNO.ENOSYS, ERRNO.EOPNOTSUPP],
]);

/** What is said of a kernel without IPsec. */
export const NO_IPSEC_HERE =
  "encryption of fastdp needs IPsec, and this kernel has none: load the modules xfrm_user, esp4, esp6 and gcm";

function explain(thrown: unknown): string {
  const errno = errnoOf(thrown);
  if (errno !== undefined && LACKING.has(errno)) return NO_IPSEC_HERE;
  return `encryption of fastdp by the kernel (IPsec) does not work: ${messageOf(thrown)}`;
}
