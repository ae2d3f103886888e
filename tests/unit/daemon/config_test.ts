import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import { type ConfigSources, resolveConfig } from "../../../mod/daemon/config/config.ts";
import { checkKeys, readConfigFile } from "../../../mod/daemon/config/config_file.ts";

function universe(text: string): Universe {
  const made = Universe.of(parseCidr(text)!);
  assert.ok(made.ok);
  return made.value;
}

const PATH = "/etc/meshnet/meshnet.toml";

function sources(given: {
  flags?: ConfigSources["flags"];
  env?: Record<string, string>;
  file?: Record<string, unknown>;
}): ConfigSources {
  const file = given.file && { path: PATH, values: checkKeys(given.file, PATH) };
  return { flags: given.flags ?? {}, env: given.env ?? {}, file, hostname: "host1", cwd: "/srv/here" };
}

Deno.test("resolveConfig() has the defaults of the contract", () => {
  const { origins: _, ...config } = resolveConfig(sources({}));
  assert.deepEqual(config, {
    peers: undefined,
    name: undefined,
    nickname: "host1",
    port: 6783,
    host: undefined,
    password: undefined,
    passwordFromFile: false,
    socketGroup: undefined,
    trustedSubnets: [],
    discovery: true,
    connLimit: 200,
    datapath: "auto",
    firewall: "auto",
    fastdp: true,
    mtu: undefined,
    ipam: {
      universe: universe("10.32.0.0/12"),
      subnet: parseCidr("10.32.0.0/12"),
      init: { kind: "consensus", peers: undefined },
      reclaimAfterMs: undefined,
    },
    dns: {
      ...{ domain: "mesh.internal.", ttl: undefined, order: "balanced" },
      ...{ listen: [], stubs: [], resolvConf: "/etc/resolv.conf" },
    },
    docker: "/var/run/docker.sock",
    dockerNetwork: true,
    multicastRoute: true,
    dockerPlugin: "/run/docker/plugins/meshnet.sock",
    dockerProxy: {
      ...{ listen: [{ kind: "unix", path: "/run/meshnet/docker.sock" }], tls: undefined },
      ...{ all: true, showMesh: false, hostName: { label: undefined, match: undefined, replacement: "" } },
    },
    compat: undefined,
    logLevel: "info",
    logFormat: "text",
    without: [],
    runDir: "/run/meshnet",
    stateDir: "/var/lib/meshnet",
    warnings: [],
  });
});

Deno.test("resolveConfig() finds the container engine's socket", () => {
  const docker = (value: string) => resolveConfig(sources({ flags: { docker: value } })).docker;
  assert.equal(docker("auto"), "/var/run/docker.sock");
  assert.equal(docker("off"), undefined);
  assert.equal(docker("unix:///run/podman/podman.sock"), "/run/podman/podman.sock");
  assert.equal(docker("/x/docker.sock"), "/x/docker.sock");
  const plugin = (value: string) =>
    resolveConfig(sources({ flags: { "docker-plugin": value } })).dockerPlugin;
  assert.equal(plugin("off"), undefined);
  assert.equal(plugin("/run/docker/plugins/other.sock"), "/run/docker/plugins/other.sock");
});

Deno.test("resolveConfig() lets flag beat environment beat file", () => {
  const file = { port: 1001, nickname: "file", peers: ["f1", "f2:99"], "no-discovery": true };
  const env = { MESHNET_PORT: "1002", MESHNET_NICKNAME: "env", MESHNET_NO_DISCOVERY: "" };
  const config = resolveConfig(sources({ flags: { port: "1003" }, env, file }));
  assert.equal(config.port, 1003);
  assert.equal(config.nickname, "env");
  assert.equal(config.discovery, false);
  assert.deepEqual(config.peers, ["f1", "f2:99"]);
  assert.deepEqual(config.origins["port"], { value: "1003", from: "--port" });
  assert.deepEqual(config.origins["nickname"], { value: "env", from: "MESHNET_NICKNAME" });
  assert.deepEqual(config.origins["peers"], { value: ["f1", "f2:99"], from: `peers in ${PATH}` });
  assert.deepEqual(config.origins["run-dir"], { value: "/run/meshnet", from: "default" });
});

Deno.test("resolveConfig() reads lists, switches, addresses and folders", () => {
  const config = resolveConfig(sources({
    env: {
      MESHNET_PEERS: "a, b:7000 ,[2001:db8::1]:99",
      MESHNET_TRUSTED_SUBNETS: "10.0.0.0/8,2001:db8::/32",
      MESHNET_NO_DISCOVERY: "yes",
      MESHNET_NAME: "8A:3E:11:02:9C:01",
      MESHNET_HOST: "192.0.2.1",
      MESHNET_COMPAT: "weave",
      MESHNET_RUN_DIR: "run/",
    },
  }));
  assert.deepEqual(config.peers, ["a", "b:7000", "[2001:db8::1]:99"]);
  assert.deepEqual(config.trustedSubnets.map((cidr) => cidr.prefix), [8, 32]);
  assert.equal(config.discovery, false);
  assert.equal(config.name, "8a:3e:11:02:9c:01");
  assert.equal(config.host, "192.0.2.1");
  assert.equal(config.compat, "weave");
  assert.equal(config.runDir, "/srv/here/run");
});

Deno.test("resolveConfig() takes an empty list for none, a blank variable for no word on it", () => {
  const file = { peers: ["f1"], "trusted-subnets": ["10.0.0.0/8"] };
  const told = resolveConfig(sources({ flags: { peers: "", "trusted-subnets": " " }, file }));
  assert.deepEqual([told.peers, told.trustedSubnets], [[], []]);
  assert.deepEqual(resolveConfig(sources({ file: { peers: [] } })).peers, []);
  assert.deepEqual(resolveConfig(sources({ env: { MESHNET_PEERS: " " }, file })).peers, ["f1"]);
  assert.deepEqual(resolveConfig(sources({ flags: { peers: "a, b" } })).peers, ["a", "b"]);
  assert.throws(() => resolveConfig(sources({ file: { peers: ["a", ""] } })), { code: "usage/bad-config" });
});

const REFUSED: readonly (readonly [option: string, value: string, hint: RegExp])[] = [
  ["port", "abc", /whole number from 1 to 65534/],
  ["port", "0", /whole number from 1 to 65534/],
  ["port", "65535", /whole number from 1 to 65534/],
  ["port", "6783.5", /whole number/],
  ["mtu", "100", /from 576 to 65400/],
  ["mtu", "65535", /from 576 to 65400/],
  ["conn-limit", "-1", /from 0 to 100000/],
  ["name", "host1", /six octets/],
  ["name", "ff:ff:ff:ff:ff:ff", /address of a group/],
  ["name", "01:00:5e:00:00:01", /address of a group/],
  ["peers", "a,,b", /nothing stands between the commas/i],
  ["peers", "a,", /nothing stands between the commas/i],
  ["trusted-subnets", "10.0.0.0/8,", /nothing stands between the commas/i],
  ["name", "00:00:00:00:00:00", /six octets/],
  ["nickname", "a\u0007b", /printable/],
  ["host", "eth0", /address of this host/],
  ["peers", "a,b:0", /HOST or HOST:PORT/],
  ["peers", ",", /nothing stands between the commas/i],
  ["peers", " , ,", /nothing stands between the commas/i],
  ["trusted-subnets", ",,", /nothing stands between the commas/i],
  ["trusted-subnets", "10.0.0.0", /ADDRESS\/PREFIX/],
  ["datapath", "osv", /Did you mean ovs\?/],
  ["firewall", "on", /Did you mean off\?|Give auto or report or off/],
  ["docker", "tcp://127.0.0.1:2375", /auto, off, or the engine's socket/],
  ["docker-plugin", "meshnet", /off, or a path; Docker looks in/],
  ["docker", "docker.sock", /auto, off, or the engine's socket/],
  ["docker", `unix:///${"x".repeat(120)}`, /auto, off, or the engine's socket/],
  ["compat", "weaver", /Did you mean weave\?/],
  ["log-level", "dbug", /Did you mean debug\?/],
  ["log-format", "xml", /text or json/],
  ["run-dir", `/${"x".repeat(120)}`, /27 bytes shorter/],
];

for (const [option, value, hint] of REFUSED) {
  Deno.test(`resolveConfig() refuses ${option} ${JSON.stringify(value).slice(0, 40)} from each source`, () => {
    const variable = `MESHNET_${option.toUpperCase().replaceAll("-", "_")}`;
    const cases = [
      { given: { flags: { [option]: value } }, label: `--${option}`, code: "usage/bad-option" },
      { given: { env: { [variable]: value } }, label: variable, code: "usage/bad-config" },
      { given: { file: { [option]: value } }, label: `${option} in ${PATH}`, code: "usage/bad-config" },
    ];
    for (const { given, label, code } of cases) {
      assert.throws(() => resolveConfig(sources(given)), (error: MeshnetError) => {
        assert.equal(error.code, code);
        assert.match(error.message, new RegExp(`^Cannot use ${label.replaceAll(".", "\\.")}: value is "`));
        assert.match(error.hint ?? "", hint);
        return true;
      });
    }
  });
}

Deno.test("resolveConfig() warns of variables that nothing reads", () => {
  const { warnings } = resolveConfig(
    sources({ env: { MESHNET_PEER: "a", MESHNET_EXE: "/x", PATH: "/bin" } }),
  );
  assert.deepEqual(warnings, [
    "Nothing reads the environment variable MESHNET_PEER; did you mean MESHNET_PEERS?",
  ]);
});

Deno.test("resolveConfig() says what does here what Weave Net's variables do, unless that is set", () => {
  const warningsOf = (env: Record<string, string>, flags = {}) =>
    resolveConfig(sources({ env, flags })).warnings;
  assert.deepEqual(warningsOf({ WEAVE_PASSWORD: "s3cret", WEAVE_MTU: "1400" }), [
    "Nothing reads the environment variable WEAVE_PASSWORD; set MESHNET_PASSWORD instead",
    "Nothing reads the environment variable WEAVE_MTU; set MESHNET_MTU instead",
  ]);
  assert.deepEqual(warningsOf({ WEAVE_PASSWORD: "a", MESHNET_PASSWORD: "b", WEAVE_PORT: "" }), []);
  assert.deepEqual(
    warningsOf({ WEAVE_PASSWORD: "a", WEAVE_MTU: "1400" }, { "password-file": "/x", mtu: "1400" }),
    [],
  );
});

Deno.test("checkKeys() refuses unknown keys, tables and passwords with the fix", () => {
  const refusal = (table: Record<string, unknown>) => {
    try {
      checkKeys(table, PATH);
    } catch (error) {
      return `${(error as Error).message} | ${(error as MeshnetError).hint}`;
    }
    return "accepted";
  };
  assert.equal(refusal({ prot: 1 }), `Unknown key in ${PATH}: prot | Did you mean port?`);
  assert.equal(
    refusal({ no_discovery: true }),
    `Unknown key in ${PATH}: no_discovery | Did you mean no-discovery?`,
  );
  assert.match(refusal({ zzzzzz: 1 }), /Known keys are peers, name/);
  assert.match(refusal({ port: { a: 1 } }), /it is not a plain value/);
  assert.match(refusal({ peers: [1] }), /Write a list of texts/);
  const password = refusal({ password: "s3cret" });
  assert.match(password, /set password-file/);
  assert.doesNotMatch(password, /s3cret/);
});

Deno.test("readConfigFile() reads TOML and says where it is wrong", async () => {
  const path = await Deno.makeTempFile({ suffix: ".toml" });
  try {
    await Deno.writeTextFile(path, 'peers = ["a"]\nport = 7000\n');
    const file = await readConfigFile(path, { required: true });
    assert.deepEqual([...file!.values], [["peers", ["a"]], ["port", 7000]]);
    await Deno.writeTextFile(path, 'peers = ["a"]\nport == 7000\n');
    await assert.rejects(readConfigFile(path, { required: true }), (error: MeshnetError) => {
      assert.equal(error.code, "usage/bad-config");
      assert.ok(error.message.startsWith(`Cannot parse ${path}:2:`), error.message);
      return true;
    });
  } finally {
    await Deno.remove(path);
  }
  assert.equal(await readConfigFile(path, { required: false }), undefined);
  await assert.rejects(readConfigFile(path, { required: true }), /Cannot read the configuration file/);
});
