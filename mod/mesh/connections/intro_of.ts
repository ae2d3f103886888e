/** How this host introduces itself on one connection. */
import { cidrContains, type Ip } from "../../core/addr.ts";
import type { ShortId } from "../../core/names.ts";
import type { Millis } from "../../core/time.ts";
import { DIGEST_EXTENSION } from "../gossip/topology_digest.ts";
import type { RouterConfig } from "../router_types.ts";
import { MOVE_EXTENSION } from "./connection_table.ts";
import { Intro, type IntroConfig } from "./intro.ts";
import { RENAME_EXTENSION } from "./rename.ts";

/** A connection that begins. */
export interface IntroOptions {
  readonly config: RouterConfig;
  /** Our short id, as of now. */
  readonly shortId: ShortId | undefined;
  /** Whether we dialled. */
  readonly outbound: boolean;
  /** Whether we can take another name. */
  readonly canRename: boolean;
  readonly remote: Ip;
  /** See IntroConfig. */
  readonly outbid: IntroConfig["outbid"];
}

/** The introduction with which a connection begins. */
export function introOf(options: IntroOptions, now: Millis): Intro {
  const { canRename, config, shortId, outbid, outbound, remote } = options;
  const { name, nickname, uid, overlays, password, minVersion, random, sealer } = config;
  const connId = new DataView(random.bytes(8).buffer).getBigUint64(0);
  const extensions = [
    ...[DIGEST_EXTENSION, MOVE_EXTENSION, ...config.extensions ?? []],
    ...canRename ? [RENAME_EXTENSION] : [],
  ];
  const self = { name, nickname, uid, shortId, overlays, extensions };
  const trustRemote = config.trusted.some((network) => cidrContains(network, remote));
  const privateKey = password === undefined ? new Uint8Array(32) : random.bytes(32);
  const ends = { outbound, trustRemote, privateKey, sealer, password };
  return new Intro({ self, connId, minVersion, maxVersion: 2, outbid, ...ends }, now);
}
