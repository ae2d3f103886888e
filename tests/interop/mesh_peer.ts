/** A router of ours on loopback, with an overlay that works at once. */
import type { Ip } from "../../mod/core/addr.ts";
import { good } from "../../mod/core/brand.ts";
import { Faults } from "../../mod/core/faults.ts";
import { type PeerName, type PeerUid, toShortId } from "../../mod/core/names.ts";
import type { OverlayRequest } from "../../mod/core/overlay_port.ts";
import type { GossipChannel, GossipData, LogFields, Random } from "../../mod/core/ports.ts";
import type { Millis } from "../../mod/core/time.ts";
import { type Router, startRouter } from "../../mod/mesh/router_shell.ts";
import type { MeshSnapshot } from "../../mod/mesh/snapshot.ts";
import { loadSealer } from "../../mod/sys/sealer.ts";
import { MemoryStore } from "../unit/memory_store.ts";
import { within } from "./go_peer.ts";

/** A set of lines, gossiped like that of the Go peers. */
class Words implements GossipData {
  constructor(readonly lines: ReadonlySet<string>) {}
  merge(other: GossipData): GossipData {
    return new Words(this.lines.union((other as Words).lines));
  }
  encode(): readonly Uint8Array[] {
    return [new TextEncoder().encode([...this.lines].join("\n"))];
  }
}

/** Lines to be sent. */
export function words(...lines: readonly string[]): GossipData {
  return new Words(new Set(lines));
}

/** The channel "interop" of the Go peers. */
export class InteropChannel implements GossipChannel {
  readonly name = "interop";
  readonly known = new Set<string>();
  readonly unicasts: { readonly source: PeerName; readonly text: string }[] = [];
  readonly broadcasts: { readonly source: PeerName; readonly text: string }[] = [];

  constructor(readonly changed: () => void) {}

  fullState(): GossipData | undefined {
    return this.known.size === 0 ? undefined : new Words(new Set(this.known));
  }
  onGossip(payload: Uint8Array) {
    const lines = new Set(new TextDecoder().decode(payload).split("\n").filter((line) => line !== ""));
    const news = lines.difference(this.known);
    for (const line of news) this.known.add(line);
    this.changed();
    return good(news.size === 0 ? undefined : new Words(news));
  }
  onBroadcast(source: PeerName, payload: Uint8Array) {
    const text = new TextDecoder().decode(payload);
    this.broadcasts.push({ source, text });
    this.changed();
    return good(new Words(new Set([text])));
  }
  onUnicast(source: PeerName, payload: Uint8Array) {
    this.unicasts.push({ source, text: new TextDecoder().decode(payload) });
    this.changed();
    return good(undefined);
  }
  onPeersRemoved(): void {}
}

const sealer = await loadSealer();

const random: Random = {
  below: (bound) => Math.floor(Math.random() * bound),
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

/** Options of a test router. */
export interface MeshPeerOptions {
  readonly name: PeerName;
  readonly host: string;
  readonly port: number;
  readonly targets?: readonly string[];
  readonly password?: string;
  readonly discovery?: boolean;
}

/** A router with its channel; disposing it stops it. */
export class MeshPeer implements Disposable {
  readonly router: Router;
  readonly channel: InteropChannel;
  /** Everything logged, as `event reason`. */
  readonly log: string[] = [];
  readonly #abort = new AbortController();
  readonly #waiting = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly options: MeshPeerOptions) {
    const wake = () => {
      for (const look of [...this.#waiting]) look();
    };
    this.channel = new InteropChannel(wake);
    const note = (event: string, fields: LogFields = {}) => {
      this.log.push(`${event} ${JSON.stringify(fields)}`);
      wake();
    };
    const { name, password, targets = [], discovery = false } = options;
    const request = (asked: OverlayRequest) => {
      if (asked.kind === "confirm") this.router.overlay({ kind: "established", link: asked.link });
      queueMicrotask(wake);
    };
    const clock = { now: () => performance.now() as Millis };
    const logger = { debug: note, info: note, warn: note, error: note };
    this.router = startRouter({
      name,
      nickname: "meshnet",
      uid: new DataView(random.bytes(8).buffer).getBigUint64(0) as PeerUid,
      shortId: toShortId(random.below(4096))!,
      host: options.host as Ip,
      port: options.port,
      overlays: ["fastdp", "sleeve"],
      password: password === undefined ? undefined : new TextEncoder().encode(password),
      trusted: [],
      connLimit: 0,
      discovery,
      minVersion: 1,
      random,
      sealer,
      channels: [this.channel],
      targets,
      ...{ clock, logger },
      faults: new Faults({ clock, logger }),
      alarm: { set: (at, ring) => this.#set(at, ring, wake) },
      store: new MemoryStore(),
      overlay: { request },
      onShortId: () => {},
      onSettled: () => {},
      onRename: () => {},
      signal: this.#abort.signal,
    });
  }

  /** Waits until something holds of the mesh. */
  until(what: string, holds: (mesh: MeshSnapshot, peer: MeshPeer) => boolean): Promise<MeshSnapshot> {
    const probe = () => {
      const mesh = this.router.snapshot();
      return holds(mesh, this) ? mesh : undefined;
    };
    return within(`${what}; log: ${this.log.join("\n")}`, this.#waiting, probe);
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  #set(at: number, ring: () => void, wake: () => void): void {
    clearTimeout(this.#timer);
    if (at === Infinity) return;
    this.#timer = setTimeout(() => {
      ring();
      wake();
    }, Math.max(0, at - performance.now()));
  }
}
