/** What an engine says is decoded, and what makes no sense is refused with a reason. The recorded shapes are those of
 * Docker 20.10.24 and Podman 4.3. */
import assert from "node:assert/strict";
import { parseMac } from "../../../mod/core/addr.ts";
import {
  decodeContainer,
  decodeContainerList,
  decodeEvent,
  decodeNetworkList,
  decodeNetworkUse,
  decodePlaces,
  decodeVersion,
  eventsPath,
  isContainerWord,
} from "../../../mod/docker/engine_api.ts";
import { JsonLines, type Line } from "../../../mod/docker/json_lines.ts";
import { readLabels } from "../../../mod/docker/labels.ts";

const ID = "4f5e9a6b2c1d".padEnd(64, "0");

Deno.test("decodeVersion() takes the newest version that both know", () => {
  const api = (newest: string, oldest?: string) => {
    const found = decodeVersion({ Version: "20.10.24", ApiVersion: newest, MinAPIVersion: oldest });
    return found.ok ? found.value.api : found.reason;
  };
  assert.deepEqual(api("1.41", "1.12"), "1.41");
  assert.deepEqual(api("1.24"), "1.24");
  assert.deepEqual(api("1.60", "1.44"), "1.51");
  assert.deepEqual(api("1.70", "1.60"), "1.60"); // newer than we know; what we ask for is old
  assert.deepEqual(api("1.23", "1.12"), "its API is 1.23, 1.24 is needed");
  assert.deepEqual(api("9"), 'ApiVersion is "9"');
});

Deno.test("decodeContainerList() reads what Docker and Podman list", () => {
  const found = decodeContainerList([
    {
      Id: ID,
      Names: ["/other/alias", "/web"],
      State: "running",
      Labels: { "meshnet.attach": "true", x: "y" },
      NetworkSettings: { Networks: { mesh: { EndpointID: "e1" }, bridge: { EndpointID: "" } } },
    },
    { Id: ID.replace("4", "5"), Names: ["db"], State: "exited", Labels: null },
    { Id: "short" },
    null,
  ]);
  assert(found.ok);
  assert.deepEqual(found.value, [
    {
      ...{ id: ID, name: "web", mayRun: true, labels: new Map([["meshnet.attach", "true"]]) },
      ...{ endpoints: ["e1"], networks: ["mesh", "bridge"] },
    },
    {
      ...{ id: ID.replace("4", "5"), name: "db", mayRun: false, labels: new Map() },
      ...{ endpoints: [], networks: [] },
    },
  ]);
});

Deno.test("decodeContainer() finds the process of what runs, paused or not", () => {
  const decode = (state: unknown) => {
    const found = decodeContainer({ Id: ID, Name: "/web", State: state, Config: { Labels: {} } });
    return found.ok ? found.value.pid : found.reason;
  };
  assert.deepEqual(decode({ Running: true, Paused: true, Pid: 4711 }), 4711);
  assert.deepEqual(decode({ Running: false, Pid: 0 }), undefined);
  assert.deepEqual(decode({ Running: true, Restarting: true, Pid: 0 }), undefined);
  assert.deepEqual(decode({ Running: true, Pid: 0 }), `Pid of container ${ID} is 0`);
  assert.deepEqual(decode({}), `Running of container ${ID} is missing`);
});

Deno.test("decodeEvent() reads events of containers, and of networks that they join or leave", () => {
  const attributes = { name: "web", "meshnet.ip": "10.2.1.1/24", image: "x" };
  const event = { Type: "container", Action: "start", Actor: { ID, Attributes: attributes } };
  assert.deepEqual(decodeEvent(event), {
    ...{ id: ID, action: "start" },
    labels: new Map([["meshnet.ip", "10.2.1.1/24"]]),
    driver: undefined,
  });
  const connected = { container: ID, name: "mesh", type: "meshnet" };
  const network = { Type: "network", Action: "connect", Actor: { ID: "n1", Attributes: connected } };
  assert.deepEqual(decodeEvent(network), { id: ID, action: "connect", labels: new Map(), driver: "meshnet" });
  assert.deepEqual(decodeEvent({ ...event, Type: "network" }), undefined);
  assert.deepEqual(decodeEvent({ status: "die", id: ID })?.action, "die"); // API 1.21
  for (const odd of [null, 7, "x", [], { Actor: 3 }, { Actor: { ID: "../x" } }]) {
    assert.deepEqual(decodeEvent(odd), undefined);
  }
});

Deno.test("labels are bounded, whatever a container says", () => {
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`meshnet.${i}`, "x"]));
  const event = decodeEvent({
    Action: "start",
    Actor: { ID, Attributes: { "meshnet.ip": "x".repeat(2000), ...many } },
  });
  assert.deepEqual(event?.labels.size, 16);
  assert.deepEqual(event?.labels.has("meshnet.ip"), false);
});

Deno.test("eventsPath() asks for what health checks find, and for no event of each check", () => {
  const url = new URL(eventsPath(1700000000.5), "http://engine");
  assert.deepEqual(url.searchParams.get("since"), "1700000000.500");
  assert.deepEqual(JSON.parse(url.searchParams.get("filters")!), {
    type: ["container", "network"],
    event: [
      ...["start", "die", "destroy", "rename", "pause", "unpause", "connect", "disconnect", "remove"],
      ...["health_status", "health_status: healthy", "health_status: unhealthy"],
    ],
  });
});

Deno.test("isContainerWord() lets nothing but names and ids into a path", () => {
  for (const good of ["web", ID, "my_app-1.2"]) assert(isContainerWord(good));
  for (const wrong of ["", "../images", "a/b", "a?b", "a b", "-x", "ü", "x".repeat(256)]) {
    assert(!isContainerWord(wrong), wrong);
  }
});

Deno.test("JsonLines cuts a stream into values, however it is cut up", () => {
  const bytes = new TextEncoder().encode('{"a":1}\n\n{"b":"ü"}\r\nno json\n[2]\n{"half":');
  for (let size = 1; size <= bytes.length; size++) {
    const lines = new JsonLines();
    const found: Line[] = [];
    for (let at = 0; at < bytes.length; at += size) found.push(...lines.take(bytes.subarray(at, at + size)));
    assert.deepEqual(found.map((line) => line.kind === "value" ? line.value : "lost"), [
      ...[{ a: 1 }, { b: "ü" }, "lost", [2]],
    ]);
  }
});

Deno.test("JsonLines holds no more than one line, and says where one was too long", () => {
  const lines = new JsonLines();
  const chunk = new Uint8Array(64 * 1024).fill(0x20);
  for (let i = 0; i < 100; i++) assert.deepEqual(lines.take(chunk), []);
  assert.deepEqual(lines.take(new TextEncoder().encode("\n7\n")), [{ kind: "lost" }, {
    kind: "value",
    value: 7,
  }]);
});

Deno.test("readLabels() says what is wanted, and which label cannot be used", () => {
  const read = (labels: Record<string, string>, isOurs = false) =>
    readLabels(new Map(Object.entries(labels)), isOurs);
  assert.deepEqual(read({}), { kind: "nothing" });
  assert.deepEqual(read({ "meshnet.attach": "true" }), {
    kind: "attach",
    addresses: [],
    names: [],
    health: undefined,
  });
  assert.deepEqual(read({ "meshnet.attach": " Yes ", "meshnet.ip": "10.2.1.1/24, net:10.3.0.0/16" }), {
    ...{ kind: "attach", addresses: ["10.2.1.1/24", "net:10.3.0.0/16"], names: [] },
    health: undefined,
  });
  assert.deepEqual(read({ "meshnet.ip": "10.2.1.1/24" }), {
    kind: "attach",
    addresses: ["10.2.1.1/24"],
    names: [],
    health: undefined,
  });
  assert.deepEqual(read({ "meshnet.name": "web, www" }), {
    kind: "attach",
    addresses: [],
    names: ["web", "www"],
    health: undefined,
  });
  assert.deepEqual(read({ "meshnet.health": "tcp:80" }), {
    ...{ kind: "attach", addresses: [], names: [], health: "tcp:80" },
  });
  for (const program of ["exec:/bin/true", " exec:x", "EXEC:x", "cmd:x"]) {
    assert.equal(read({ "meshnet.health": program }).kind, "refused", "an image runs no program of the host");
  }
  const inOurs = read({ "meshnet.health": "tcp:80", "meshnet.name": "web" }, true);
  assert.deepEqual(inOurs, { kind: "nothing" }, "it has names and a check without a second interface");
  assert.equal(read({ "meshnet.ip": "10.2.1.1/24" }, true).kind, "attach");
  assert.deepEqual(read({ "meshnet.attach": "false", "meshnet.ip": "10.2.1.1/24" }), { kind: "nothing" });
  assert.deepEqual(read({ "meshnet.attach": "maybe" }), {
    ...{ kind: "refused", label: "meshnet.attach", value: "maybe", hint: "Give true or false" },
  });
});

Deno.test("decodeNetworkUse() finds addresses and endpoints of containers, the gateway, and what is set aside", () => {
  const containers = {
    [ID]: { Name: "web", EndpointID: "e1", IPv4Address: "10.32.0.1/12", IPv6Address: "" },
    // Docker could not remove it when its container went.
    "ep-e2": { Name: "gone", EndpointID: "e2", IPv4Address: "10.32.0.2/12", IPv6Address: "" },
  };
  const config = [{
    Subnet: "10.32.0.0/12",
    Gateway: "10.32.0.9",
    AuxiliaryAddresses: { printer: "10.32.0.8" },
  }];
  const network = { Id: ID, Driver: "meshnet", Containers: containers, IPAM: { Config: config } };
  const found = decodeNetworkUse(network);
  assert(found.ok);
  assert.deepEqual([...found.value.addresses].sort(), ["10.32.0.1", "10.32.0.8", "10.32.0.9"]);
  assert.deepEqual([...found.value.endpoints], ["e1"]);
  assert(!decodeNetworkUse({ Id: ID }).ok); // without containers nothing can be said
  assert(!decodeNetworkUse(null).ok);
  const list = decodeNetworkList([network, { Id: "../x" }, 7]);
  assert.deepEqual(list.ok && list.value, [ID]);
  assert(!decodeNetworkList({}).ok);
});

Deno.test("decodePlaces() finds who is in a network, and leaves out what has no container or makes no sense", () => {
  const place = {
    Name: "web",
    EndpointID: "e1",
    MacAddress: "6e:00:00:00:00:01",
    IPv4Address: "10.32.0.1/12",
  };
  const Containers = {
    [ID]: place,
    "ep-e2": { ...place, EndpointID: "e2" },
    [ID.replace("4", "5")]: { ...place, IPv4Address: "" },
    [ID.replace("4", "6")]: { ...place, EndpointID: "../e" },
    [ID.replace("4", "7")]: null,
  };
  const found = decodePlaces({ Id: ID, Name: "mesh", Containers });
  assert(found.ok);
  const { address, mac } = found.value[0]!;
  assert.deepEqual(found.value, [{
    endpoint: "e1",
    container: ID,
    name: "web",
    network: "mesh",
    address,
    mac,
  }]);
  assert.equal(`${address.ip}/${address.prefix} ${mac}`, `10.32.0.1/12 ${parseMac("6e:00:00:00:00:01")}`);
  assert.deepEqual(decodePlaces({ Id: ID, Containers: {} }), { ok: true, value: [] });
  assert(!decodePlaces({ Id: ID }).ok);
});
