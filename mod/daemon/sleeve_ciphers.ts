/** The ciphers of sleeve on this host: the quick ones of native libraries where they are installed. */
import { AesGcm } from "../../ffi/libcrypto.ts";
import { hasLibrary } from "../../ffi/libs.ts";
import { SodiumSecretbox } from "../../ffi/sodium.ts";
import type { Sealer } from "../core/ports.ts";
import { secretboxCipher, type SleeveCiphers } from "../overlay/sleeve_seal.ts";

/** What openSleeveCiphers() found. */
export interface FoundCiphers {
  readonly ciphers: SleeveCiphers;
  /** Whether AES-256-GCM may be announced to peers. */
  readonly gcm: boolean;
  /** What a person should know, as sentences, each with what to install. */
  readonly notes: readonly string[];
}

/** Looks for native ciphers; without them secretbox is done by `sealer`, and AES-256-GCM not at all. */
export function openSleeveCiphers(sealer: Sealer): FoundCiphers {
  const sodium = hasLibrary("libsodium");
  const gcm = hasLibrary("libcrypto");
  const notes: string[] = [];
  if (!sodium) {
    notes.push("libsodium is missing: encryption of sleeve is about ten times slower; install libsodium23");
  }
  if (!gcm) {
    notes.push(
      "libcrypto 3 is missing: sleeve cannot use AES-256-GCM between meshnet peers; install libssl3",
    );
  }
  const ciphers: SleeveCiphers = {
    secretbox: (key) => sodium ? new SodiumSecretbox(key) : secretboxCipher(sealer, key),
    gcm: (key, outbound) => gcm ? AesGcm.ofSession(key, outbound) : undefined,
  };
  return { ciphers, gcm, notes };
}
