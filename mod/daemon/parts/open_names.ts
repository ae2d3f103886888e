/** Names: the directory on this host's clock and mesh, and the names that this host gives. */
import { DirectoryShell } from "../../dns/directory_shell.ts";
import { OwnNames } from "../../dns/own_names_shell.ts";
import { SystemAlarm } from "../../sys/clock.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import type { Config } from "../config.ts";
import { addressesOf, extensionsOfNames, isAlive, type Names } from "../names.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { RouterPart } from "./open_router.ts";
import type { State } from "./open_state.ts";

/** Names of the mesh. Disposing it sends nothing any more; what is stored stays. */
export interface NamesPart extends Disposable {
  /** undefined: names are off. */
  readonly names: Names | undefined;
}

/** Gives the names that are remembered to what is attached, and begins to tell and to hear of names. */
export function openNames(
  config: Pick<Config, "dns" | "without">,
  { attached, base: { clock, faults, logger }, mesh: { router }, state: { identity, store } }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly mesh: RouterPart;
    readonly state: State;
  },
): NamesPart {
  if (config.dns === undefined) return { names: undefined, [Symbol.dispose]() {} };
  const { domain } = config.dns;
  const self = identity.name;
  const announced = extensionsOfNames(config);
  const counts = { all: 0, own: 0 };
  const count = (entry: DnsEntry | undefined, by: number) => {
    if (entry === undefined || !isAlive(entry)) return;
    counts.all += by;
    if (entry.origin === self) counts.own += by;
  };
  const directory = new DirectoryShell({
    ...{ self, domain, clock, faults, gossip: router },
    alarm: new SystemAlarm(clock, faults),
    knows: (peer) => router.knows(peer),
    compares: (peer) => announced.some((extension) => router.announces(peer, extension)),
    wallSeconds: () => Math.floor(Date.now() / 1_000),
  }, (before, after) => {
    count(before, -1);
    count(after, 1);
  });
  const own = new OwnNames({ store, directory, domain, logger });
  const { attachments, onLooked, restored } = attached;
  own.keepOnly(new Set(attachments.list().map(({ target }) => target)));
  const there = new Set([...restored.adopted, ...restored.restored]);
  for (const attachment of attachments.list()) {
    own.present(attachment.target, addressesOf(attachment));
    if (!there.has(attachment.target)) own.absent(attachment.target);
  }
  onLooked.call = ({ adopted, restored, waiting }) => {
    for (const target of [...adopted, ...restored]) own.present(target);
    for (const target of waiting) own.absent(target);
  };
  router.register(directory.channel);
  const names = { domain, directory, own, counts };
  return { names, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}
