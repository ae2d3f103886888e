import assert from "node:assert/strict";
import { parseAddressWish } from "../../../../mod/attach/mod.ts";
import { parseCidr } from "../../../../mod/core/addr.ts";
import { MeshnetError } from "../../../../mod/core/errors.ts";
import {
  connectRequest,
  type CreateOptions,
  planCreate,
  planNetwork,
  withMeshAddress,
} from "../../../../mod/docker/proxy/create_request.ts";
import { networkName } from "../../../../mod/docker/proxy/places.ts";
import { check, fc } from "../../properties.ts";

const OPTIONS: CreateOptions = {
  parse: parseAddressWish,
  common: parseCidr("10.32.0.0/12")!,
  all: true,
  domain: "mesh.internal",
  hostName: { label: undefined, match: undefined, replacement: "" },
};

/** Where a body puts a container: networks with addresses, or why not. */
function placesOf(body: unknown, options: Partial<CreateOptions> = {}): string {
  const plan = planCreate(body, { name: "web", options: { ...OPTIONS, ...options } });
  if (!plan.ok) return plan.reason;
  return (plan.value?.places ?? []).map(({ ip, subnet }) =>
    `${subnet ? networkName(subnet) : "mesh"}=${ip ?? "any"}`
  )
    .join(" ");
}

Deno.test("planCreate() attaches on the engine's usual network alone, however odd the body", () => {
  const attached: readonly unknown[] = [
    {},
    { HostConfig: null },
    { HostConfig: {} },
    { HostConfig: [] },
    { HostConfig: "host" },
    { HostConfig: { NetworkMode: "" } },
    { HostConfig: { NetworkMode: null } },
    { HostConfig: { NetworkMode: "default" } },
    { HostConfig: { NetworkMode: "bridge" } },
    { NetworkMode: "host" }, // no field of this request
    { NetworkingConfig: { EndpointsConfig: null } },
    { NetworkingConfig: { EndpointsConfig: { default: {}, bridge: null } } },
    { Env: null },
    { Env: "MESHNET_CIDR=none" },
    { Env: [null, 1, "A=b", "MESHNET_CIDRS=none"] },
    null,
    [],
    7,
  ];
  for (const body of attached) assert.equal(placesOf(body), "mesh=any", JSON.stringify(body));
  const untouched: readonly unknown[] = [
    ...["host", "none", "container:x", "mesh", "shop"].map((NetworkMode) => ({
      HostConfig: { NetworkMode },
    })),
    { hostconfig: { NETWORKMODE: "host" } },
    { HostConfig: { NetworkMode: "default", networkmode: "host" } }, // the engine takes the last one
    { NetworkingConfig: { EndpointsConfig: { mesh: {} } } },
    {
      HostConfig: { NetworkMode: "bridge" },
      networkingconfig: { endpointsconfig: { bridge: {}, shop: null } },
    },
    { NetworkDisabled: true },
    { Env: ["MESHNET_CIDR=none"] },
    { Env: ["WEAVE_CIDR=none"] },
    { Env: ["MESHNET_CIDR=net:default", "MESHNET_CIDR= NONE "] },
    { Env: ["WEAVE_CIDR=net:default", "MESHNET_CIDR=none"] },
  ];
  for (const body of untouched) assert.equal(placesOf(body), "", JSON.stringify(body));
});

Deno.test("planCreate() reads where a container is to be", () => {
  const cases: readonly [text: string, places: string][] = [
    ["", "mesh=any"],
    ["net:default", "mesh=any"],
    ["net:10.32.0.0/12", "mesh=any"],
    ["10.32.5.5/12", "mesh=10.32.5.5"],
    ["ip:10.32.5.5/12", "mesh=10.32.5.5"],
    ["10.32.5.5/24", "mesh-10.32.5.0-24=10.32.5.5"],
    ["net:10.33.1.0/24", "mesh-10.33.1.0-24=any"],
    ["10.2.1.1/24 net:default", "mesh-10.2.1.0-24=10.2.1.1 mesh=any"],
    ["10.2.1.1/24, 10.3.1.1/24", "mesh-10.2.1.0-24=10.2.1.1 mesh-10.3.1.0-24=10.3.1.1"],
    [
      "10.2.1.1/24 10.2.1.2/24",
      "Cannot use MESHNET_CIDR: two words ask for an address of 10.2.1.0/24; give one of each subnet",
    ],
    [
      "net:default 10.33.1.1/24",
      "Cannot use MESHNET_CIDR: two words ask for an address of 10.32.0.0/12, which shares addresses with " +
      "10.33.1.0/24; give one of each subnet",
    ],
    ["fd00::1/64", "Cannot use MESHNET_CIDR: fd00::1/64 is IPv6, which networks of the engine cannot have"],
    ["10.1.1.1/24 ".repeat(40), "Cannot use MESHNET_CIDR: it names 40 networks; give at most 32"],
  ];
  for (const [text, places] of cases) assert.equal(placesOf({ Env: [`MESHNET_CIDR=${text}`] }), places, text);
  for (const word of ["10.2.1.1", "net:", "web", "10.2.1.0/24", "127.0.0.1/8"]) {
    assert.throws(() => placesOf({ Env: [`WEAVE_CIDR=${word}`] }), MeshnetError, word);
  }
  assert.equal(placesOf({}, { all: false }), "");
  assert.equal(placesOf({ Env: ["MESHNET_CIDR="] }, { all: false }), "mesh=any");
});

Deno.test("planCreate() gives host names to those who have none", () => {
  const named = (body: unknown, name: string, hostName: Partial<CreateOptions["hostName"]> = {}) => {
    const options = { ...OPTIONS, hostName: { ...OPTIONS.hostName, ...hostName } };
    const plan = planCreate(body, { name, options });
    assert.ok(plan.ok);
    const { Domainname, Hostname } = plan.value?.body ?? {};
    return plan.value?.body === undefined ? "as it is" : `${Hostname}.${Domainname}`;
  };
  assert.equal(named({}, "web"), "web.mesh.internal");
  assert.equal(named({ hostname: "" }, "web"), "web.mesh.internal");
  assert.equal(named({ Domainname: "example.org" }, "web"), "web.example.org");
  assert.equal(named({ Hostname: "own" }, "web"), "as it is");
  assert.equal(named({}, ""), "as it is");
  assert.equal(named({}, "a_b"), "as it is"); // no name of a host
  assert.equal(named({}, "a".repeat(51)), "as it is"); // the kernel takes 64 characters
  assert.equal(named({}, "a".repeat(50)), `${"a".repeat(50)}.mesh.internal`);
  assert.equal(
    named({}, "app-web-1", { match: /^app-(.*)-[0-9]+$/, replacement: "$1" }),
    "web.mesh.internal",
  );
  const labelled = { Labels: { host: "db-7" } };
  assert.equal(named(labelled, "web", { label: "host" }), "db-7.mesh.internal");
  assert.equal(named(labelled, "web", { label: "host", match: /-7$/, replacement: "" }), "db.mesh.internal");
  assert.equal(named({ Labels: null }, "web", { label: "host" }), "web.mesh.internal");
});

Deno.test("planCreate() leaves everything else as it is, whatever it is", () => {
  check(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (body) => {
    const plan = planCreate(body, { name: "web", options: OPTIONS });
    const changed = plan.ok ? plan.value?.body : undefined;
    if (changed === undefined) return;
    const others = Object.entries(body).filter(([key]) => !/^(hostname|domainname)$/i.test(key));
    for (const [key, value] of others) assert.deepEqual(changed[key], value);
  }));
});

Deno.test("connectRequest() names the container and its address", () => {
  assert.deepEqual(connectRequest("id", { ip: undefined }), { Container: "id" });
  const { ip } = parseCidr("10.2.1.1/24")!;
  assert.deepEqual(connectRequest("id", { ip }), {
    Container: "id",
    EndpointConfig: { IPAMConfig: { IPv4Address: "10.2.1.1" } },
  });
});

Deno.test("withMeshAddress() shows the address of the mesh, where there is one", () => {
  const isOurs = (network: string) => network === "mesh";
  const bridge = { IPAddress: "172.17.0.2", IPPrefixLen: 16, MacAddress: "02:42:ac:11:00:02" };
  const mesh = { IPAddress: "10.32.0.1", IPPrefixLen: 12, MacAddress: "8a:00:00:00:00:01", NetworkID: "x" };
  const answer = (Networks: unknown) => ({ Id: "1", NetworkSettings: { ...bridge, Ports: {}, Networks } });
  assert.deepEqual(withMeshAddress(answer({ bridge, mesh }), isOurs), {
    Id: "1",
    NetworkSettings: {
      ...{ IPAddress: "10.32.0.1", IPPrefixLen: 12, MacAddress: "8a:00:00:00:00:01" },
      ...{ Ports: {}, Networks: { bridge, mesh } },
    },
  });
  const odd: readonly unknown[] = [
    ...[answer({ bridge }), answer(null), answer({ mesh: { IPAddress: "" } }), answer({ mesh: null })],
    ...[{}, null, [], { NetworkSettings: 1 }],
  ];
  for (const one of odd) assert.equal(withMeshAddress(one, isOurs), undefined, JSON.stringify(one));
});

Deno.test("planNetwork() has networks of the mesh take their addresses from there", () => {
  const ipam = (body: unknown) => planNetwork(body, "meshnet")?.["IPAM"];
  assert.deepEqual(ipam({ Driver: "meshnet" }), { Driver: "meshnet" });
  assert.deepEqual(ipam({ driver: "meshnet", ipam: null }), { Driver: "meshnet" });
  const Config = [{ Subnet: "10.40.0.0/16" }];
  assert.deepEqual(ipam({ Driver: "meshnet", IPAM: { Driver: "default", Config } }), {
    Driver: "meshnet",
    Config,
  });
  for (const body of [{}, { Driver: "bridge" }, { Driver: "meshnet", IPAM: { Driver: "own" } }, null]) {
    assert.equal(planNetwork(body, "meshnet"), undefined);
  }
});
