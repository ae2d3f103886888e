/** News of interfaces, as the kernel tells them. */
import type { Logger } from "../../../mod/core/ports.ts";
import { linkMessage } from "../kernel_messages.ts";

/** A log that nobody reads. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A notice that an interface came or changed (16), or went (17). */
export function linkNotice(name: string, type: 16 | 17 = 16): Uint8Array {
  return linkMessage({ type, index: 7, name, mtu: 1410 });
}

/** A leg that is closed already. */
export const CLOSED_LEG = { keep: () => false };
