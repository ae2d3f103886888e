/** Runs two introductions against each other, and one against recorded bytes. */
import { concatBytes } from "../../../../mod/core/bytes.ts";
import type { PeerName, PeerUid, ShortId } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { Intro, type IntroConfig, type IntroResult } from "../../../../mod/mesh/connections/intro.ts";
import { loadSealer } from "../../../../mod/sys/sealer.ts";

/** The real ciphers. */
export const sealer = await loadSealer();

const START = 1_000 as Millis;

/** The configuration of a dialer called alpha (or an acceptor called beta), without password, with changes. */
export function introConfig(changes: Partial<IntroConfig> & { readonly outbound: boolean }): IntroConfig {
  const number = changes.outbound ? 10 : 11;
  return {
    self: {
      name: `00:00:00:00:00:0${number.toString(16)}` as PeerName,
      nickname: changes.outbound ? "alpha" : "beta",
      uid: BigInt(number) as PeerUid,
      shortId: number as ShortId,
      overlays: ["fastdp", "sleeve"],
    },
    connId: BigInt(number) << 32n,
    minVersion: 1,
    maxVersion: 2,
    password: undefined,
    sealer,
    privateKey: new Uint8Array(32).fill(number),
    trustRemote: false,
    ...changes,
  };
}

/** What became of one end. */
export interface IntroEnd {
  /** The last result; `write` holds nothing that is not also in `sent`. */
  readonly result: IntroResult;
  /** All bytes that this end wrote, in order. */
  readonly sent: Uint8Array;
}

/**
 * Runs two introductions against each other, without delay, until both are over or neither says more.
 * `cut` splits what is delivered into chunks; unless given, each write is delivered whole.
 */
export function runIntros(
  dialer: IntroConfig,
  acceptor: IntroConfig,
  cut: (bytes: Uint8Array) => readonly Uint8Array[] = (bytes) => [bytes],
): { readonly dialer: IntroEnd; readonly acceptor: IntroEnd } {
  const ends = [dialer, acceptor].map((config) => {
    const intro = new Intro(config, START);
    const sent: Uint8Array[] = intro.start();
    return { intro, sent, delivered: 0, result: { kind: "more", write: [] } as IntroResult };
  });
  for (let busy = true; busy;) {
    busy = false;
    for (const [i, end] of ends.entries()) {
      const other = ends[1 - i]!;
      while (end.result.kind === "more" && end.delivered < other.sent.length) {
        busy = true;
        for (const chunk of cut(other.sent[end.delivered++]!)) {
          if (end.result.kind === "more") {
            end.result = end.intro.receive(chunk.slice(), START);
            end.sent.push(...end.result.write);
          }
        }
      }
    }
  }
  const [a, b] = ends.map(({ result, sent }): IntroEnd => ({ result, sent: concatBytes(...sent) }));
  return { dialer: a!, acceptor: b! };
}

/** Feeds recorded bytes to one introduction in chunks of the given sizes (the last repeats); all at once if none. */
export function replayIntro(
  config: IntroConfig,
  stream: Uint8Array,
  sizes: readonly number[] = [stream.length],
): IntroEnd & { readonly intro: Intro; readonly writes: readonly Uint8Array[]; readonly used: number } {
  const intro = new Intro(config, START);
  const writes = intro.start();
  let result: IntroResult = { kind: "more", write: [] };
  let used = 0;
  for (let i = 0; used < stream.length && result.kind === "more"; i++) {
    const size = Math.max(1, sizes[Math.min(i, sizes.length - 1)]!);
    result = intro.receive(stream.slice(used, used + size), START);
    used = Math.min(stream.length, used + size);
    writes.push(...result.write);
  }
  return { intro, result, writes, used, sent: concatBytes(...writes) };
}
