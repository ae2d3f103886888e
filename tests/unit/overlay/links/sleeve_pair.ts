/** Two sleeve links and the path between them, on a clock of their own. */
import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../../mod/core/addr.ts";
import type { ConnUid } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Random } from "../../../../mod/core/ports.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import {
  type SleeveEvent,
  SleeveLink,
  type SleeveLinkOptions,
} from "../../../../mod/overlay/links/sleeve_link.ts";
import { type SpecialFrame, specialLength } from "../../../../mod/wire/mesh/sleeve_special.ts";
import { seededRandom } from "../../properties.ts";

export const UID = 0xc9ad_bfe7_babe_9184n as ConnUid;
export const DIALER: Endpoint = { ip: "192.0.2.1" as Ip, port: 6783 };
export const ACCEPTOR: Endpoint = { ip: "192.0.2.2" as Ip, port: 6783 };

export interface PathOptions {
  /** What the interface of either end takes: the kernel refuses larger DF packets. */
  pmtu: number;
  /** What either kernel believes that the route takes; the same unless given. */
  believed?: number;
  /** Larger DF packets vanish. */
  silent: number;
  /** Fragments of larger packets arrive. */
  fragments: boolean;
  /** Of 1000 datagrams so many are lost. */
  lossPermille: number;
  /** One way, in milliseconds; up to as much again at random. */
  delay: number;
  /** Nothing arrives in the direction of the end with this index. */
  blocked: readonly [boolean, boolean];
}
export const GOOD_PATH: PathOptions = {
  pmtu: 1500,
  silent: 1500,
  fragments: true,
  lossPermille: 0,
  delay: 1,
  blocked: [false, false],
};

export interface Sent {
  readonly at: number;
  readonly by: number;
  readonly frame: SpecialFrame;
  readonly df: boolean;
}

/** End 0 dials. Control messages go over TCP: they arrive, in order. */
export class SleevePair {
  now = 0 as Millis;
  readonly links: readonly [SleeveLink, SleeveLink];
  readonly sent: Sent[] = [];
  readonly controls: { at: number; by: number; tag: number; payload: Uint8Array }[] = [];
  readonly happened: string[] = [];
  readonly path: PathOptions;
  /** Where each end's datagrams seem to come from. */
  readonly addresses: [Endpoint, Endpoint] = [DIALER, ACCEPTOR];
  /** Whether the control connection is stuck. */
  controlsLost = false;
  readonly #random: Random = seededRandom();
  readonly #queue: { at: number; order: number; run: () => void }[] = [];
  readonly #talking = [0, 0];
  #order = 0;

  constructor(path: Partial<PathOptions> = {}, options: Partial<SleeveLinkOptions> = {}) {
    this.path = { ...GOOD_PATH, ...path };
    const common = { link: 1 as LinkId, connUid: UID, port: 6783, sealed: false, ...options };
    this.links = [
      new SleeveLink({ ...common, outbound: true, remote: ACCEPTOR }),
      new SleeveLink({ ...common, outbound: false, remote: { ...DIALER, port: 40_000 } }),
    ];
  }

  confirm(): this {
    this.links.forEach((link, by) => this.take(by, link.confirm(this.now)));
    return this;
  }

  /** From now on an end sends a packet every so many milliseconds; 0 ends that. */
  talk(by: number, everyMs: number): void {
    this.#talking[by] = everyMs;
    this.#say(by, everyMs);
  }

  /** An end sends a datagram of this payload, of the full size unless given. */
  large(by: number, payload?: number): void {
    const link = this.links[by]!;
    const { use } = link;
    const size = payload ?? link.maxPayload;
    if (size <= use.largest) return;
    use.largest = size;
    if (use.asleep) this.take(by, link.trafficBegins(this.now));
    use.asleep = false;
  }

  #say(by: number, everyMs: number): void {
    const link = this.links[by]!;
    if (this.#talking[by] !== everyMs || everyMs === 0) return;
    if (link.carried()) this.take(by, link.trafficBegins(this.now));
    this.#later(everyMs, () => this.#say(by, everyMs));
    if (this.path.blocked[1 - by] || this.#random.below(1000) < this.path.lossPermille) return;
    this.#later(this.path.delay, () => this.links[1 - by]!.heard(this.now));
  }

  /** Carries out what a link wants. */
  take(by: number, events: readonly SleeveEvent[]): void {
    const link = this.links[by]!;
    for (const event of events) {
      if (event.kind === "control") {
        this.controls.push({ at: this.now, by, tag: event.tag, payload: event.payload });
        if (this.controlsLost) continue;
        this.#later(this.path.delay, () => {
          const peer = this.links[1 - by]!;
          this.take(1 - by, peer.control(event.tag, event.payload, this.now));
        });
      } else if (event.kind === "special") {
        assert.ok(link.remote !== undefined, "there is an address to send to");
        this.sent.push({ at: this.now, by, frame: event.frame, df: event.df });
        const packet = link.overheads.outer + link.overheads.packet + 14 + specialLength(event.frame);
        if (event.df && packet > this.path.pmtu) {
          const mtus = { interfaceMtu: this.path.pmtu, routeMtu: this.path.believed ?? this.path.pmtu };
          this.#later(0, () => this.take(by, link.tooBig(mtus, this.now)));
          continue;
        }
        const small = packet <= Math.min(this.path.pmtu, this.path.silent);
        const arrives = small || !event.df && this.path.fragments;
        if (!arrives || this.path.blocked[1 - by] || this.#random.below(1000) < this.path.lossPermille) {
          continue;
        }
        const jitter = this.path.lossPermille > 0 ? this.#random.below(this.path.delay + 1) : 0;
        this.#later(this.path.delay + jitter, () => {
          this.take(1 - by, this.links[1 - by]!.received(event.frame, this.addresses[by]!, this.now));
        });
      } else {
        this.happened.push(`${by} ${event.kind}${event.kind === "health" ? ` ${event.good}` : ""}`);
      }
    }
  }

  /** Lets time pass. */
  run(ms: number): this {
    const end = this.now + ms;
    for (let guard = 0; guard < 200_000; guard++) {
      const next = this.#queue.toSorted((a, b) => a.at - b.at || a.order - b.order)[0];
      const wake = Math.min(...this.links.map((link) => link.nextWake()));
      const at = Math.min(next?.at ?? Infinity, wake);
      if (at > end) {
        this.now = end as Millis;
        return this;
      }
      this.now = Math.max(at, this.now) as Millis;
      if (next !== undefined && next.at <= wake) {
        this.#queue.splice(this.#queue.indexOf(next), 1);
        next.run();
      } else {
        this.links.forEach((link, by) => {
          if (link.nextWake() > this.now) return;
          this.take(by, link.wake(this.now));
          assert.ok(link.nextWake() > this.now, "no wake in the past");
        });
      }
    }
    throw new Error("the links never come to rest");
  }

  /** The sizes that an end probed, each with how often in a row; without the kick. */
  probes(by: number): (readonly [mtu: number, times: number])[] {
    const rows: [number, number][] = [];
    for (const { by: who, frame } of this.sent) {
      if (who !== by || frame.kind !== "mtu-probe" || frame.mtu > 50_000) continue;
      if (rows.at(-1)?.[0] === frame.mtu) rows.at(-1)![1]++;
      else rows.push([frame.mtu, 1]);
    }
    return rows;
  }

  #later(ms: number, run: () => void): void {
    this.#queue.push({ at: this.now + ms, order: this.#order++, run });
  }
}
