import assert from "node:assert/strict";
import { Exposed } from "../../../mod/attach/mod.ts";
import type { ExposeRequest } from "../../../mod/control/address_types.ts";
import { type Cidr, formatCidr, type Ip, parseCidr } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import type { Ipam } from "../../../mod/daemon/addresses/addresses.ts";
import { EXPOSE_HOLDER } from "../../../mod/core/holders.ts";
import { Exposing } from "../../../mod/daemon/addresses/exposing.ts";
import { UnusedAddresses } from "../../../mod/daemon/addresses/unused_addresses.ts";
import type { AllocatorShell, IpamRequest } from "../../../mod/ipam/allocator_shell.ts";
import type { Names } from "../../../mod/daemon/names/names.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { FakeHost } from "../attach/fake_host.ts";

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const stays = () => new AbortController().signal;
const cidr = (text: string) => parseCidr(text)!;

/** A host with its leg, and an allocator that has one address to give. */
class Machine {
  readonly host = new FakeHost();
  readonly leg = this.host.kernel.add("", "meshnet", "bridge");
  readonly held = new Map<string, Cidr[]>();
  /** Who answers for which address. */
  readonly used = new Map<string, string>();
  /** No claim or allocation is answered while it is set. */
  refuses: string | undefined;

  names: Names | undefined;
  #next = 1;

  start({ off = false } = {}): Exposing {
    const { log, sysctl } = this.host.adapters();
    const exposed = new Exposed({
      ...{ leg: "meshnet", store: this.host.store, host: this.host.kernel.open(undefined), log },
      sysctl: { ...sysctl, read: () => undefined },
      setLeg: () => Promise.resolve(),
      letThrough() {},
      sendFrames() {},
      later() {},
    });
    exposed.keep();
    const shell = {
      lookup: (holder: string) => this.held.get(holder) ?? [],
      ask: (request: IpamRequest) => this.#ask(request),
    } as unknown as AllocatorShell;
    const range = cidr("10.32.0.0/12");
    const universe = Universe.of(range);
    assert.ok(universe.ok);
    const users = {
      userOf: (ip: Ip) => {
        const text = this.used.get(ip);
        return Promise.resolve(text === undefined ? undefined : { ip, mac: null, host: null, text });
      },
    };
    const unused = new UnusedAddresses({ shell, users, logger });
    const ipam: Ipam | undefined = off
      ? undefined
      : { shell, unused, range, subnet: range, universe: universe.value };
    const exposing = new Exposing({
      ...{ exposed, ipam, names: this.names, users, clock: new VirtualClock(), logger },
      attached: () => [{ target: "netns:web", addresses: ["10.32.0.3/12"] }],
      limits: (masquerade) => masquerade ? ["nothing is forwarded"] : [],
    });
    exposing.reconcile();
    return exposing;
  }

  #ask(request: IpamRequest) {
    const mine = this.held.get(EXPOSE_HOLDER) ?? [];
    if (request.kind === "release") {
      const left = mine.filter(({ ip }) => ip !== request.ip);
      if (left.length === mine.length) return Promise.reject(new MeshnetError("ipam/not-found", "not held"));
      this.held.set(EXPOSE_HOLDER, left);
      return Promise.resolve({ kind: "released", cidrs: [] });
    }
    if (this.refuses !== undefined) return Promise.reject(new MeshnetError("ipam/exhausted", this.refuses));
    if (request.kind === "set-aside") {
      this.held.delete(EXPOSE_HOLDER);
      this.#next++;
      return Promise.resolve({ kind: "done" });
    }
    const found = request.kind === "claim" ? request.cidr : cidr(`10.32.0.${this.#next}/12`);
    if (!mine.some(({ ip }) => ip === found.ip)) this.held.set(EXPOSE_HOLDER, [...mine, found]);
    return Promise.resolve({ kind: "address", cidr: found });
  }

  own(): readonly string[] {
    return (this.held.get(EXPOSE_HOLDER) ?? []).map(formatCidr);
  }
}

const ask = (...addresses: readonly string[]): ExposeRequest => ({
  ...{ addresses, names: [], masquerade: true, noWait: false, timeoutMs: 60_000 },
});

Deno.test("Exposing.expose() allocates, claims what is given of the range, and says what it has", async () => {
  const machine = new Machine();
  const exposing = machine.start();
  assert.deepEqual(await exposing.expose(ask(), stays), {
    addresses: ["10.32.0.1/12"],
    exposed: [{ address: "10.32.0.1/12", masquerade: true }],
    names: [],
    warnings: ["nothing is forwarded"],
  });
  await exposing.expose(ask("net:default", "10.32.0.9/12", "10.2.1.9/24"), stays);
  assert.deepEqual(machine.leg.addresses, ["10.32.0.1/12", "10.32.0.9/12", "10.2.1.9/24"]);
  assert.deepEqual(machine.own(), ["10.32.0.1/12", "10.32.0.9/12"]);
  await assert.rejects(exposing.hide(["10.2.1.8/24"]), { code: "attach/not-attached" });
  assert.deepEqual((await exposing.hide(["net:default"])).addresses, ["10.32.0.1/12", "10.32.0.9/12"]);
  assert.deepEqual([machine.own(), machine.leg.addresses], [[], ["10.2.1.9/24"]]);
  assert.deepEqual((await exposing.hide([])).exposed, []);
  assert.deepEqual((await exposing.hide([])).addresses, []);
});

Deno.test("Exposing.expose() that fails gives back what it got", async () => {
  const machine = new Machine();
  const exposing = machine.start();
  await assert.rejects(
    exposing.expose(ask("net:default", "10.32.0.3/12"), stays),
    /netns:web has this address/,
  );
  assert.deepEqual(machine.own(), []);
  machine.host.kernel.failAt = machine.host.kernel.changes;
  await assert.rejects(exposing.expose(ask(), stays));
  assert.deepEqual([machine.own(), machine.leg.addresses, exposing.report()], [[], [], []]);
  machine.refuses = "all is taken";
  await assert.rejects(exposing.expose(ask(), stays), /all is taken/);
  machine.refuses = undefined;
  machine.used.set("10.32.0.8", "a printer");
  await assert.rejects(
    exposing.expose(ask("10.32.0.8/12"), stays),
    /10.32.0.8\/12: it is in use by a printer/,
  );
  assert.deepEqual(machine.own(), []);
  machine.used.set("10.32.0.1", "a router");
  assert.deepEqual((await exposing.expose(ask(), stays)).addresses, ["10.32.0.2/12"]);
});

Deno.test("Exposing.reconcile() holds what is exposed, and gives back what a crash left", async () => {
  const machine = new Machine();
  await machine.start().expose(ask("10.32.0.9/12"), stays);
  machine.held.set(EXPOSE_HOLDER, [cidr("10.32.0.5/12")]);
  machine.start();
  await Promise.resolve();
  assert.deepEqual(machine.own(), ["10.32.0.9/12"]);
});

Deno.test("Exposing.expose() gives names, which are answered for what this host has, and go with it", async () => {
  const machine = new Machine();
  const trace: string[] = [];
  let own: readonly string[] = [];
  machine.names = {
    domain: "mesh.internal.",
    own: {
      namesOf: () => own.map((name) => name.replace(".mesh.internal.", "")),
      calledNames: () => ["h1.host", ...own],
      setNames: (_: string, names: readonly string[]) => void (own = names),
    },
    attached: (_: string, addresses: readonly string[]) => void trace.push(addresses.join(" ")),
    forgotten: () => void trace.push("none"),
  } as unknown as Names;
  const exposing = machine.start();
  await exposing.expose({ ...ask("10.2.1.9/24"), names: ["gateway"] }, stays);
  const more = await exposing.expose(
    { ...ask("10.2.1.8/24"), names: ["router", "gateway.mesh.internal"] },
    stays,
  );
  assert.deepEqual(more.names, ["h1.host", "gateway.mesh.internal.", "router.mesh.internal."]);
  assert.deepEqual(own, ["gateway.mesh.internal.", "router.mesh.internal."]);
  await assert.rejects(exposing.expose({ ...ask("10.2.1.7/24"), names: ["a b"] }, stays), {
    code: "usage/bad-name",
  });
  machine.used.set("10.2.1.7", "a printer");
  await assert.rejects(exposing.expose({ ...ask("10.2.1.7/24"), names: ["x"] }, stays), /a printer/);
  assert.deepEqual(own, ["gateway.mesh.internal.", "router.mesh.internal."]);
  await exposing.hide(["10.2.1.9/24"]);
  assert.deepEqual((await exposing.hide([])).names, []);
  assert.deepEqual(trace, ["10.2.1.9/24", "10.2.1.9/24 10.2.1.8/24", "10.2.1.8/24", "none"]);
});

Deno.test("Exposing.hide() gives back what is held for this host without being exposed, as after an import", async () => {
  const machine = new Machine();
  const exposing = machine.start();
  machine.held.set(EXPOSE_HOLDER, [cidr("10.32.0.2/12"), cidr("10.32.0.4/12")]);
  await assert.rejects(exposing.hide(["10.32.0.9/12"]), { code: "attach/not-attached" });
  assert.deepEqual((await exposing.hide(["10.32.0.4/12"])).addresses, ["10.32.0.4/12"]);
  assert.deepEqual((await exposing.hide([])).addresses, ["10.32.0.2/12"]);
  assert.deepEqual(machine.own(), []);
  assert.deepEqual((await exposing.hide([])).addresses, []);
});

Deno.test("Exposing works without allocation, for addresses that are given", async () => {
  const exposing = new Machine().start({ off: true });
  await assert.rejects(exposing.expose(ask(), stays), { code: "ipam/off", hint: /^Give an address such as/ });
  await exposing.expose(ask("10.2.1.9/24"), stays);
  await assert.rejects(exposing.hide(["net:default"]), { code: "ipam/off" });
  assert.deepEqual((await exposing.hide([])).addresses, ["10.2.1.9/24"]);
});
