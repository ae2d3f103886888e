/** What Docker asks of its network plugin, and what it gets. Bodies as Docker 20.10.24 sends them. */
import assert from "node:assert/strict";
import { type Cidr, type Ip, parseCidr, parseMac } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { pluginEndpoints } from "../../../mod/docker/plugin_shell.ts";
import { check, fc } from "../properties.ts";

const RANGE = parseCidr("10.32.0.0/12")!;
const SUBNET = parseCidr("10.33.0.0/16")!;
const LEARNT = "10.33.0.0/16,10.33.0.0/16";
const stays = () => new AbortController().signal;

/** A plugin whose addresses are a list. */
class Plugin {
  readonly held = new Set<string>();
  readonly plugged = new Set<string>();
  readonly sandboxes: string[] = [];
  readonly logged: string[] = [];
  /** Resolves when names are answered. */
  names: Promise<void> = Promise.resolve();
  readonly #served;
  #next = 0;

  constructor({ off = false } = {}) {
    const quiet = () => {};
    this.#served = pluginEndpoints({
      network: off ? undefined : { range: RANGE, subnet: SUBNET },
      allocate: (subnet) =>
        this.#take({ ip: subnet.ip.replace(/\d+$/, String(++this.#next)) as Ip, prefix: 32 }),
      claim: async (cidr) => void await this.#take(cidr),
      release: (ip) => Promise.resolve(void this.held.delete(ip)),
      macFor: () => parseMac("6e:00:00:00:00:01")!,
      plug: (endpoint, sandbox) => {
        this.plugged.add(endpoint);
        const isFirst = !this.sandboxes.includes(sandbox);
        this.sandboxes.push(sandbox);
        return { interfaceName: `vmt${endpoint}`, isFirst };
      },
      answerNames: () => this.names,
      leave: () => {},
      routes: ["224.0.0.0/4", "169.254.53.53/32"],
      unplug: (endpoint) => void this.plugged.delete(endpoint),
      interfacePrefix: "ethmesh",
      logger: {
        debug: quiet,
        info: quiet,
        error: quiet,
        warn: (_, { reason } = {}) => void this.logged.push(`${reason}`),
      },
    });
  }

  async call(method: string, body: unknown = {}): Promise<Record<string, unknown>> {
    return await this.#served[`/${method}`]!.handle(body, stays) as Record<string, unknown>;
  }

  #take(cidr: Cidr): Promise<Cidr> {
    if (this.held.has(cidr.ip)) {
      const hint = "Choose another one";
      return Promise.reject(new MeshnetError("ipam/in-use", `Cannot claim ${cidr.ip}: db has it`, { hint }));
    }
    this.held.add(cidr.ip);
    return Promise.resolve(cidr);
  }
}

Deno.test("a container's way through the plugin: pool, address, endpoint, interface, and back", async () => {
  const plugin = new Plugin();
  assert.deepEqual(await plugin.call("Plugin.Activate"), { Implements: ["NetworkDriver", "IpamDriver"] });
  assert.equal((await plugin.call("NetworkDriver.GetCapabilities"))["Scope"], "local");
  const pool = { AddressSpace: "meshnet", Pool: "", SubPool: "", Options: {}, V6: false };
  assert.deepEqual(await plugin.call("IpamDriver.RequestPool", pool), {
    PoolID: LEARNT,
    Pool: "10.33.0.0/16",
    Data: { "com.docker.network.gateway": "0.0.0.0/0" },
  });
  const data = { AddressSpace: "meshnet", Pool: "10.33.0.0/16", Gateway: "0.0.0.0/0" };
  assert.deepEqual(
    await plugin.call("NetworkDriver.CreateNetwork", { NetworkID: "n1", IPv4Data: [data] }),
    {},
  );
  const ask = { PoolID: LEARNT, Address: "", Options: {} };
  assert.deepEqual(await plugin.call("IpamDriver.RequestAddress", ask), {
    Address: "10.33.0.1/16",
    Data: {},
  });
  const endpoint = { NetworkID: "n1", EndpointID: "e1" };
  const wanted = { Address: "10.33.0.1/16", AddressIPv6: "", MacAddress: "" };
  assert.deepEqual(await plugin.call("NetworkDriver.CreateEndpoint", { ...endpoint, Interface: wanted }), {
    Interface: { MacAddress: "6e:00:00:00:00:01" },
  });
  const given = { ...wanted, MacAddress: "02:42:0a:21:00:01" };
  assert.deepEqual(await plugin.call("NetworkDriver.CreateEndpoint", { ...endpoint, Interface: given }), {
    Interface: {}, // Docker refuses an answer that repeats what it asked for
  });
  assert.deepEqual(
    await plugin.call("NetworkDriver.Join", { ...endpoint, SandboxKey: "/run/docker/netns/x" }),
    {
      InterfaceName: { SrcName: "vmte1", DstPrefix: "ethmesh" },
      StaticRoutes: ["224.0.0.0/4", "169.254.53.53/32"].map((Destination) => ({ Destination, RouteType: 1 })),
    },
  );
  const second = { EndpointID: "e2", SandboxKey: "/run/docker/netns/x" };
  const joined = await plugin.call("NetworkDriver.Join", second);
  assert.deepEqual(joined["StaticRoutes"], [], "two interfaces cannot have the same route");
  await plugin.call("NetworkDriver.DeleteEndpoint", second);
  assert.deepEqual([...plugin.plugged], ["e1"]);
  await plugin.call("NetworkDriver.Leave", endpoint);
  assert.deepEqual([...plugin.plugged], ["e1"]); // Docker still takes it out of the container
  await plugin.call("NetworkDriver.DeleteEndpoint", endpoint);
  await plugin.call("IpamDriver.ReleaseAddress", { PoolID: LEARNT, Address: "10.33.0.1" });
  assert.deepEqual([[...plugin.plugged], [...plugin.held], plugin.logged], [[], [], []]);
});

Deno.test("a container joins when names are answered: the first thing that it does may be to ask", async () => {
  const plugin = new Plugin();
  const ready = Promise.withResolvers<void>();
  plugin.names = ready.promise;
  const wanted = { Address: "10.33.0.1/16", AddressIPv6: "", MacAddress: "" };
  await plugin.call("NetworkDriver.CreateEndpoint", { EndpointID: "e1", Interface: wanted });
  let isJoined = false;
  const joining = plugin.call("NetworkDriver.Join", { EndpointID: "e1", SandboxKey: "/x" })
    .then(() => isJoined = true);
  await Promise.resolve();
  assert.deepEqual([isJoined, [...plugin.plugged]], [false, ["e1"]], "the interface is made meanwhile");
  ready.resolve();
  await joining;
});

Deno.test("Docker's endless search for another pool ends with an error that says what to do", async () => {
  const plugin = new Plugin();
  const errors: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    errors.push((await plugin.call("IpamDriver.RequestPool", { Pool: "" }))["Error"]);
  }
  assert.deepEqual(errors.map((error) => error === undefined), [true, true, true, false, true]);
  assert.match(String(errors[3]), /^Cannot give another subnet than 10\.33\.0\.0\/16, .*--subnet/);
  await plugin.call("IpamDriver.RequestAddress", { PoolID: LEARNT, Address: "" });
  assert.equal((await plugin.call("IpamDriver.RequestPool", { Pool: "" }))["Error"], undefined);
});

Deno.test("what cannot be had is refused with the value and the fix, in both words of the protocol", async () => {
  const plugin = new Plugin();
  const cases: [method: string, body: unknown, message: RegExp][] = [
    [
      "IpamDriver.RequestPool",
      { Pool: "192.168.7.0/24" },
      /192\.168\.7\.0\/24: it is no part of .*10\.32\.0\.0\/12/,
    ],
    ["IpamDriver.RequestPool", { Pool: "10.0.0.0/8" }, /no part of meshnet's range/],
    [
      "IpamDriver.RequestPool",
      { Pool: "10.0.0.0/8", Options: { "meshnet.given": "true" } },
      /no part of meshnet's range/,
    ],
    [
      "IpamDriver.RequestPool",
      { Pool: "10.33.0.0/16", SubPool: "10.34.0.0/24" },
      /part of 10\.33\.0\.0\/16 with --ip-range/,
    ],
    ["IpamDriver.RequestPool", { Pool: "x" }, /subnet x/],
    ["IpamDriver.RequestPool", { Pool: "", V6: true }, /without --ipv6/],
    ["IpamDriver.RequestAddress", { PoolID: "weavepool" }, /no pool weavepool/],
    [
      "IpamDriver.RequestAddress",
      { PoolID: LEARNT, Address: "10.40.0.1" },
      /10\.40\.0\.1: it is not of 10\.33\.0\.0\/16/,
    ],
    [
      "IpamDriver.RequestAddress",
      { PoolID: LEARNT, Address: "", Options: { RequestAddressType: "com.docker.network.gateway" } },
      /gateway/,
    ],
    [
      "NetworkDriver.CreateNetwork",
      { IPv4Data: [{ AddressSpace: "LocalDefault", Pool: "172.18.0.0/16" }] },
      /add --ipam-driver meshnet/,
    ],
    ["NetworkDriver.CreateEndpoint", { EndpointID: "e1" }, /without an address/],
    ["NetworkDriver.CreateEndpoint", {
      EndpointID: "e1",
      Interface: { Address: "10.33.0.1/16", MacAddress: "y" },
    }, /MAC address y/],
    ["NetworkDriver.Join", { EndpointID: "../x" }, /no id/],
  ];
  for (const [method, body, message] of cases) {
    const { Err, Error: other } = await plugin.call(method, body);
    assert.match(String(Err), message);
    assert.equal(Err, other);
  }
  assert.equal(plugin.logged.length, cases.length);
  const outside = { Pool: "192.168.7.0/24", Options: { "meshnet.given": "true" } };
  assert.equal((await plugin.call("IpamDriver.RequestPool", outside))["Pool"], "192.168.7.0/24");
  await plugin.call("IpamDriver.RequestAddress", { PoolID: LEARNT, Address: "10.33.0.9" });
  const again = await plugin.call("IpamDriver.RequestAddress", { PoolID: LEARNT, Address: "10.33.0.9" });
  assert.equal(again["Error"], "Cannot claim 10.33.0.9: db has it (Choose another one)");
  const off = await new Plugin({ off: true }).call("IpamDriver.RequestPool", { Pool: "" });
  assert.match(String(off["Error"]), /--ip-range off/);
});

Deno.test("addresses come from the part of the pool, with the prefix of the whole; a gateway that is named is taken", async () => {
  const plugin = new Plugin();
  const asked = { Pool: "10.33.0.0/16", SubPool: "10.33.5.0/24" };
  const { PoolID } = await plugin.call("IpamDriver.RequestPool", asked);
  assert.equal(
    (await plugin.call("IpamDriver.RequestAddress", { PoolID, Address: "" }))["Address"],
    "10.33.5.1/16",
  );
  const options = { RequestAddressType: "com.docker.network.gateway" };
  const gateway = { PoolID, Address: "10.33.0.1", Options: options };
  assert.equal((await plugin.call("IpamDriver.RequestAddress", gateway))["Address"], "10.33.0.1/16");
});

Deno.test("what was never given out may be released: Docker does so with the gateway that it did not get", async () => {
  const plugin = new Plugin();
  for (const Address of ["0.0.0.0", "10.33.0.77", "", "x", 7, null]) {
    assert.deepEqual(await plugin.call("IpamDriver.ReleaseAddress", { PoolID: LEARNT, Address }), {});
  }
});

Deno.test("a call that Docker repeats without its body is refused with the reason", async () => {
  const plugin = new Plugin();
  for (const method of ["CreateEndpoint", "Join", "Leave", "DeleteEndpoint"]) {
    assert.match(
      `${(await plugin.call(`NetworkDriver.${method}`)).Err}`,
      /started anew .* try again/,
      method,
    );
  }
  assert.match(`${(await plugin.call("IpamDriver.RequestAddress")).Error}`, /started anew .* try again/);
});

Deno.test("whatever is asked is answered with an object", async () => {
  const methods = ["IpamDriver.RequestPool", "IpamDriver.RequestAddress", "IpamDriver.ReleaseAddress"]
    .concat(
      ["CreateNetwork", "CreateEndpoint", "Join", "Leave", "DeleteEndpoint"].map((name) =>
        `NetworkDriver.${name}`
      ),
    );
  const key = fc.constantFrom(
    "Pool",
    "SubPool",
    "PoolID",
    "Address",
    "EndpointID",
    "SandboxKey",
    "Interface",
    "IPv4Data",
    "Options",
  );
  const asked: [method: string, body: unknown][] = [];
  const body = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(key, fc.oneof(fc.jsonValue(), fc.string({ maxLength: 400 }))),
  );
  check(fc.property(fc.constantFrom(...methods), body, (...one) => void asked.push(one)));
  for (const [method, body] of asked) {
    const answer = await new Plugin().call(method, body);
    assert.ok(typeof answer === "object" && answer !== null);
  }
});
