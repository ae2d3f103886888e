/** A connector with a mesh around it that the test writes down. */
import assert from "node:assert/strict";
import { formatEndpoint, type Ip } from "../../../../mod/core/addr.ts";
import { type PeerName, peerNameFromNumber } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";
import { Connector } from "../../../../mod/mesh/dialing/connector.ts";
import type { AttemptEnd, ConnectorEffect } from "../../../../mod/mesh/dialing/connector_types.ts";
import type { AttemptId } from "../../../../mod/mesh/mesh_ids.ts";
import { seededRandom } from "../../properties.ts";

/** The name of the peer of this number. */
export const peer = (n: number): PeerName => peerNameFromNumber(n)!;
/** The name of the connector's own host. */
export const SELF = peer(1);

/** A connection in the table. */
export interface Connection {
  readonly peer: PeerName;
  readonly address: string;
  readonly outbound: boolean;
}

/** A connector with a mesh around it that the test writes down. */
export class Bench {
  now = 0;
  connections: Connection[] = [];
  records: PeerRecord[] = [];
  full = false;
  introducing: Ip[] = [];
  /** The attempt of the last dial that dial() saw. */
  last: AttemptId | undefined;
  /** Dials that have led to a connection. */
  readonly open = new Set<AttemptId>();
  readonly connector: Connector;

  constructor(options: { readonly discovery?: boolean } = {}) {
    const { discovery = true } = options;
    this.connector = new Connector({ self: SELF, port: 6783, discovery, random: seededRandom(1) });
  }
  get time(): Millis {
    return this.now as Millis;
  }
  due(): readonly ConnectorEffect[] {
    const view = {
      connections: () =>
        this.connections.map((each) => ({ ...each, ip: each.address.replace(/:\d+$/, "") as Ip })),
      isConnected: (name: PeerName) => this.connections.some((each) => each.peer === name),
      introducing: () => this.introducing,
      hasConnection: (attempt: AttemptId) => this.open.has(attempt),
      records: () => this.records,
      full: this.full,
    };
    return this.connector.due(view, this.time);
  }
  /** Passes time until the connector does something; the effects. */
  next(): readonly ConnectorEffect[] {
    for (let i = 0; i < 1_000; i++) {
      const effects = this.due();
      if (effects.length > 0) return effects;
      const wake = this.connector.nextWake();
      if (wake === Infinity) return [];
      assert.ok(wake > this.now, `time has to pass: ${wake} after ${this.now}`);
      this.now = wake;
    }
    throw new Error("nothing happens");
  }
  connect(...targets: string[]): string[] {
    return this.connector.connect(targets, { replace: false, now: this.time });
  }
  /** The one dial that is due; its attempt. */
  dial(address: string): AttemptId {
    const [effect, ...more] = this.next();
    assert.equal(more.length, 0);
    assert.ok(effect?.kind === "dial", `${effect?.kind}`);
    assert.equal(formatEndpoint(effect.address), address);
    return this.last = effect.attempt;
  }
  ended(attempt: AttemptId, end: Partial<AttemptEnd> = {}): void {
    this.connector.ended(attempt, { reason: "it failed", ...end }, this.time);
  }
  view(target: string) {
    return this.connector.views().find((each) => each.target === target);
  }
}
