/** Addresses and interfaces that an engine was given and does not use any more. */
import assert from "node:assert/strict";
import { endpointInterfaces } from "../../../mod/attach/names.ts";
import { parseIp } from "../../../mod/core/addr.ts";
import { EngineLeftovers } from "../../../mod/daemon/engine/engine_leftovers.ts";
import type { NetworkUse } from "../../../mod/docker/engine_api.ts";

const [A, B, C] = ["10.32.0.1", "10.32.0.2", "10.32.0.3"].map((text) => parseIp(text)!);
const outer = (endpoint: string) => endpointInterfaces(endpoint).outer;

class Host {
  held = [{ ident: "engine:1", ip: A! }, { ident: "engine:2", ip: B! }];
  interfaces = [outer("e1"), outer("e2")];
  use: NetworkUse | undefined = { addresses: new Set([A!]), endpoints: new Set(["e1"]) };
  readonly leftovers = new EngineLeftovers({
    addresses: {
      held: () => this.held,
      release: (ip) => Promise.resolve(void (this.held = this.held.filter((one) => one.ip !== ip))),
    },
    endpoints: {
      outerNames: () => this.interfaces,
      removeOuter: (name) => void (this.interfaces = this.interfaces.filter((one) => one !== name)),
    },
    use: () => Promise.resolve(this.use),
    faults: { guard: (_, work) => (...args) => void work(...args) },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });

  get before() {
    return { addresses: [...this.held], outer: [...this.interfaces] };
  }
}

Deno.test("EngineLeftovers removes what no container has any more", async () => {
  const host = new Host();
  await host.leftovers.look(host.before);
  assert.deepEqual(host.held.map(({ ip }) => ip), [A]);
  assert.deepEqual(host.interfaces, [outer("e1")]);
});

Deno.test("EngineLeftovers lets be what came since, and what an engine that does not answer may use", async () => {
  const host = new Host();
  const { before } = host;
  host.held = [{ ident: "engine:1", ip: A! }, { ident: "engine:9", ip: B! }, { ident: "engine:3", ip: C! }];
  host.interfaces = [...host.interfaces, outer("e3")];
  await host.leftovers.look(before);
  assert.deepEqual(host.held.map(({ ip }) => ip), [A, B, C]); // B went and was given out again
  assert.deepEqual(host.interfaces, [outer("e1"), outer("e3")]);
  host.use = undefined;
  await host.leftovers.look(host.before);
  assert.deepEqual(host.held.map(({ ip }) => ip), [A, B, C]);
});

Deno.test("EngineLeftovers sets no timer where there is nothing, and none outlives it", () => {
  const host = new Host();
  host.leftovers.lookLater();
  host.leftovers.lookLater();
  host.leftovers[Symbol.dispose]();
  host.held = [];
  host.interfaces = [];
  host.leftovers.lookLater();
});
