/** The introduction: what both ends say before the first message (source: spec mesh.md, section 2). */
import { assertNever, type Decoded } from "../../core/brand.ts";
import { concatBytes } from "../../core/bytes.ts";
import { noCommonOverlay } from "../../core/overlay_port.ts";
import type { PeerName } from "../../core/names.ts";
import type { Sealer } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import { ByteQueue } from "../../wire/mesh/byte_queue.ts";
import { decodeFeatures, encodeFeatures, type Features, featuresOf } from "../../wire/mesh/mesh_features.ts";
import {
  BAD_KEY,
  badEncryptionFlag,
  badFeatures,
  badHeader,
  closedEarly,
  headerTimeout,
  noCommonVersion,
  ONLY_PEER_HAS_PASSWORD,
  ONLY_WE_HAVE_PASSWORD,
  restTimeout,
} from "./intro_reasons.ts";
import {
  FramedCodec,
  GobCodec,
  MAX_FRAME,
  type MessageCodec,
  PASSWORDS_DIFFER,
  type StreamCodec,
} from "./message_codec.ts";
import { SealedStream } from "./sealed_stream.ts";

export type { MessageCodec } from "./message_codec.ts";

const PROTOCOL = Uint8Array.of(0x77, 0x65, 0x61, 0x76, 0x65);
const HEADER_LENGTH = 7;
const KEY_LENGTH = 32;
const HEADER_DEADLINE_MS = 10_000;
const REST_DEADLINE_MS = 60_000;
/** Features are a few hundred bytes: who is not yet known to be a peer gets no more room than this. */
const MAX_FEATURES = 64 * 1024;

/** What one end brings into an introduction. */
export interface IntroConfig {
  /** What we say of ourselves. */
  readonly self: Pick<Features, "name" | "nickname" | "uid" | "shortId" | "overlays" | "extensions">;
  /** Random unsigned 64 bits, fresh per connection. */
  readonly connId: bigint;
  /** The number that this connection must be below, so that it takes the place of the one that this host has with the
   * remote; undefined: any number will do. With it, what we say of ourselves waits for what the remote says. */
  readonly outbid?: ((remote: PeerName) => bigint | undefined) | undefined;
  /** Oldest protocol version to speak. */
  readonly minVersion: 1 | 2;
  /** Newest protocol version to speak. */
  readonly maxVersion: 1 | 2;
  /** UTF-8; undefined or empty: the connection is not encrypted. */
  readonly password: Uint8Array | undefined;
  /** Whether we dialled. */
  readonly outbound: boolean;
  /** Used only with a password. */
  readonly sealer: Sealer;
  /** 32 random bytes, fresh per connection; used only with a password. */
  readonly privateKey: Uint8Array;
  /** Whether the remote's address is in a subnet that we trust. */
  readonly trustRemote: boolean;
}

/** The end of an introduction that did not succeed. */
export interface IntroFailed {
  /** Tells it from the other results. */
  readonly kind: "failed";
  /** A sentence for people, without full stop, that names the likely fault and what to do about it. */
  readonly reason: string;
  /** To be written before closing, so that the remote can tell its people the reason too. May be empty. */
  readonly write: readonly Uint8Array[];
}

/** What one call of receive() led to. `write` is to be written in order, whatever the kind. */
export type IntroResult =
  | { readonly kind: "more"; readonly write: readonly Uint8Array[] }
  | IntroFailed
  | {
    readonly kind: "done";
    readonly write: readonly Uint8Array[];
    readonly version: 1 | 2;
    readonly remote: Features;
    readonly codec: MessageCodec;
    /** Whether messages are sealed: both ends have the password. */
    readonly encrypted: boolean;
    /** Whether both ends trust each other. */
    readonly trustedBoth: boolean;
    /** What overlay traffic must be sealed with; undefined without a password or when both ends trust each other. */
    readonly sessionKey: Uint8Array | undefined;
    /** What came after the introduction: feed it to the codec. May be empty. */
    readonly rest: Uint8Array;
  };

/** Where an introduction stands. `over` is final.
 *
 *     header --v2--> announcement --> features --> over
 *        +--------v1-------------------^
 */
type Stage =
  | { readonly kind: "header" }
  | { readonly kind: "announcement" }
  | {
    readonly kind: "features";
    readonly version: 1 | 2;
    readonly codec: StreamCodec;
    /** Next features in the stream, if they are there. */
    readonly next: () => Decoded<Features | undefined>;
    readonly sessionKey: Uint8Array | undefined;
  }
  | { readonly kind: "over"; readonly failed: IntroFailed | undefined };

/**
 * One end's part of one introduction. Write what start() returns, then call receive() with what arrives, until it is
 * done or has failed; how the bytes are cut makes no difference. Call expire() at nextWake(), and closed() when the
 * remote closes before the end. After "done" the codec takes over and receive() must not be called; after "failed"
 * every call repeats the failure.
 */
export class Intro {
  readonly #queue = new ByteQueue();
  readonly #password: Uint8Array | undefined;
  #stage: Stage = { kind: "header" };
  #deadline: Millis;
  #connId: bigint;

  /** Starts the clock: the header is due 10 s after `now`. */
  constructor(readonly config: IntroConfig, now: Millis) {
    this.#password = config.password?.length ? config.password : undefined;
    this.#deadline = after(now, HEADER_DEADLINE_MS);
    this.#connId = config.connId;
  }

  /** Our part of the connection's number; final once the introduction is done. */
  get connId(): bigint {
    return this.#connId;
  }

  /** Bytes to write at once, without waiting for the remote. */
  start(): Uint8Array[] {
    return [concatBytes(PROTOCOL, Uint8Array.of(this.config.minVersion, this.config.maxVersion))];
  }

  /** Takes received bytes and keeps them: the caller must not change them afterwards. */
  receive(bytes: Uint8Array, now: Millis): IntroResult {
    const late = this.expire(now);
    if (late !== undefined) return late;
    if (this.#stage.kind === "over") throw new TypeError("Cannot receive: introduction is done");
    if (this.#stage.kind === "features") this.#stage.codec.push(bytes);
    else this.#queue.push(bytes);

    const write: Uint8Array[] = [];
    while (true) {
      const result = this.#step(write, now);
      if (result === "again") continue;
      return result === "wait" ? { kind: "more", write } : result;
    }
  }

  /** Octets of memory kept for what has not come whole yet. */
  get held(): number {
    return this.#queue.held + (this.#stage.kind === "features" ? this.#stage.codec.held : 0);
  }

  /** When to call expire(); Infinity when the introduction is over. */
  nextWake(): number {
    return this.#stage.kind === "over" ? Infinity : this.#deadline;
  }

  /** The failure, if there was one or the time is up. */
  expire(now: Millis): IntroFailed | undefined {
    if (this.#stage.kind === "over") return this.#stage.failed;
    if (now < this.#deadline) return undefined;
    return this.#fail(this.#stage.kind === "header" ? headerTimeout(this.#queue.length) : restTimeout(), []);
  }

  /** The remote closed the connection: what that probably means. Peers never say why they refuse. */
  closed(): IntroFailed {
    if (this.#stage.kind === "over") {
      return this.#stage.failed ?? { kind: "failed", reason: "the peer closed the connection", write: [] };
    }
    const encrypted = this.#stage.kind === "features" && this.#stage.sessionKey !== undefined;
    return this.#fail(
      closedEarly(this.#stage.kind, { encrypted, hasPassword: this.#password !== undefined }),
      [],
    );
  }

  #fail(reason: string, write: readonly Uint8Array[]): IntroFailed {
    const failed: IntroFailed = { kind: "failed", reason, write };
    this.#stage = { kind: "over", failed: { ...failed, write: [] } };
    return failed;
  }

  #step(write: Uint8Array[], now: Millis): IntroResult | "again" | "wait" {
    const stage = this.#stage;
    switch (stage.kind) {
      case "header":
        return this.#header(write, now);
      case "announcement":
        return this.#announcement(write);
      case "features":
        return this.#features(stage, write);
      case "over":
        throw new TypeError("Cannot step: introduction is over");
      default:
        return assertNever(stage);
    }
  }

  #header(write: Uint8Array[], now: Millis): IntroFailed | "again" | "wait" {
    if (this.#queue.length < HEADER_LENGTH) return "wait";
    const header = this.#queue.take(HEADER_LENGTH);
    if (PROTOCOL.some((byte, i) => header[i] !== byte)) return this.#fail(badHeader(header), write);
    const { minVersion, maxVersion } = this.config;
    const [theirMin, theirMax] = [header[5]!, header[6]!];
    const version = Math.min(maxVersion, theirMax);
    if (version < Math.max(minVersion, theirMin)) {
      return this.#fail(
        noCommonVersion({ min: minVersion, max: maxVersion }, { min: theirMin, max: theirMax }),
        write,
      );
    }
    this.#deadline = after(now, REST_DEADLINE_MS);
    const publicKey = this.#password && this.config.sealer.publicKey(this.config.privateKey);
    if (version === 2) {
      write.push(publicKey === undefined ? Uint8Array.of(0) : concatBytes(Uint8Array.of(1), publicKey));
      this.#stage = { kind: "announcement" };
      return "again";
    }
    write.push(encodeFeatures(this.#ourFeatures(publicKey), 1));
    const codec = new GobCodec();
    const next = () => {
      const map = codec.features();
      return map.ok && map.value !== undefined ? featuresOf(map.value, 1) : map as Decoded<undefined>;
    };
    return this.#expectFeatures({ kind: "features", version: 1, codec, next, sessionKey: undefined });
  }

  #announcement(write: Uint8Array[]): IntroFailed | "again" | "wait" {
    const flag = this.#queue.view()[0];
    if (flag === undefined) return "wait";
    if (flag > 1) return this.#fail(badEncryptionFlag(flag), write);
    const mismatch = this.#passwordMismatch(flag === 1);
    if (mismatch !== undefined) return this.#fail(mismatch, write);
    if (flag === 1 && this.#queue.length < 1 + KEY_LENGTH) return "wait";
    this.#queue.take(1);

    const codec = new FramedCodec();
    const sessionKey = flag === 1 ? this.#secure(codec, this.#queue.take(KEY_LENGTH)) : undefined;
    if (flag === 1 && sessionKey === undefined) return this.#fail(BAD_KEY, write);
    if (this.config.outbid === undefined) {
      write.push(codec.encode(encodeFeatures(this.#ourFeatures(undefined), 2)));
    }
    const next = () => {
      const message = codec.next();
      return message.ok && message.value !== undefined
        ? decodeFeatures(message.value, 2)
        : message as Decoded<undefined>;
    };
    return this.#expectFeatures({ kind: "features", version: 2, codec, next, sessionKey });
  }

  #expectFeatures(stage: Stage & { kind: "features" }): "again" {
    stage.codec.maxFrame = MAX_FEATURES;
    stage.codec.push(this.#queue.take(this.#queue.length));
    this.#stage = stage;
    return "again";
  }

  #features(stage: Stage & { kind: "features" }, write: Uint8Array[]): IntroResult | "wait" {
    const { version, codec } = stage;
    const features = stage.next();
    if (!features.ok) {
      const { reason } = features;
      return this.#fail(reason === PASSWORDS_DIFFER ? reason : badFeatures(reason), write);
    }
    const remote = features.value;
    if (remote === undefined) return "wait";
    let { sessionKey } = stage;
    if (version === 1) {
      const mismatch = this.#passwordMismatch(remote.publicKey !== undefined);
      if (mismatch !== undefined) return this.#fail(mismatch, write);
      if (remote.publicKey !== undefined) {
        sessionKey = this.#secure(codec, remote.publicKey);
        if (sessionKey === undefined) return this.#fail(BAD_KEY, write);
      }
    }
    const ours = this.config.self.overlays;
    const theirs = remote.overlays;
    if (ours !== undefined && theirs !== undefined && !ours.some((overlay) => theirs.includes(overlay))) {
      return this.#fail(noCommonOverlay(ours, theirs), write);
    }
    this.#stage = { kind: "over", failed: undefined };
    codec.maxFrame = MAX_FRAME;
    if (version === 2 && this.config.outbid !== undefined) {
      this.#outbid(remote);
      write.push(codec.encode(encodeFeatures(this.#ourFeatures(undefined), 2)));
    }
    const encrypted = sessionKey !== undefined;
    const trustedBoth = this.config.trustRemote && remote.trusted;
    if (trustedBoth) sessionKey = undefined;
    return {
      kind: "done",
      write,
      version,
      remote,
      codec,
      encrypted,
      trustedBoth,
      sessionKey,
      rest: codec.takeRest(),
    };
  }

  /** Derives the session key and makes the codec use it; undefined for a key that no honest peer sends. */
  #secure(codec: StreamCodec, theirKey: Uint8Array): Uint8Array | undefined {
    const { sealer, privateKey, outbound } = this.config;
    const key = sealer.sessionKey(privateKey, theirKey, this.#password!);
    if (key !== undefined) codec.secure(new SealedStream(sealer, { key, outbound }));
    return key;
  }

  #passwordMismatch(theyHaveOne: boolean): string | undefined {
    const weHaveOne = this.#password !== undefined;
    if (weHaveOne === theyHaveOne) return undefined;
    return weHaveOne ? ONLY_WE_HAVE_PASSWORD : ONLY_PEER_HAS_PASSWORD;
  }

  /** Chooses our part of the connection's number so that the whole is below that of the connection it is to replace. */
  #outbid({ connId, name }: Features): void {
    const bound = this.config.outbid?.(name) ?? 0n;
    if (bound > 0n) this.#connId = connId ^ (this.#connId % bound);
  }

  #ourFeatures(publicKey: Uint8Array | undefined): Features {
    const { self, trustRemote } = this.config;
    return { ...self, connId: this.#connId, trusted: trustRemote, publicKey };
  }
}
