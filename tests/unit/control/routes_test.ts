import assert from "node:assert/strict";
import type { AttachAnswer, ErrorAnswer } from "../../../mod/control/api_types.ts";
import { answer } from "../../../mod/control/http_answer.ts";
import { type ControlApi, controlEndpoints } from "../../../mod/control/routes.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { EXAMPLE } from "./example_status.ts";

/** An api that writes down what it is asked. */
function fakeApi(calls: unknown[], change: Partial<ControlApi> = {}): ControlApi {
  const note = <T>(name: string, value: T) => (request?: unknown) => (calls.push([name, request]), value);
  const attached: AttachAnswer = {
    target: "netns:a",
    addresses: ["10.2.1.1/24"],
    attachment: null,
    warnings: [],
  };
  const addresses = { holder: "a", addresses: [] };
  const exposed = { addresses: [], exposed: [], names: [], warnings: [] };
  return {
    status: note("status", EXAMPLE),
    report: note("report", { status: EXAMPLE, config: {}, host: {}, details: {} }),
    docker: note("docker", { proxy: [] }),
    doctor: note("doctor", Promise.resolve({ healthy: true, daemon: true, faults: [], checks: [] })),
    check: note("check", Promise.resolve({ host: "h", address: null, peer: null, good: true, lines: [] })),
    path: note(
      "path",
      Promise.resolve({ from: null, to: null, ms: null, hops: [], reached: true, verdict: "" }),
    ),
    daemon: note("daemon", { pid: 1, stateDir: "/s", netns: "net:[1]" }),
    connect: note("connect", { targets: ["a"] }),
    forget: note("forget", { targets: [] }),
    attach: note("attach", attached),
    detach: note("detach", attached),
    expose: note("expose", Promise.resolve(exposed)),
    hide: note("hide", Promise.resolve(exposed)),
    holders: note("holders", []),
    history: note("history", []),
    names: note("names", []),
    addName: note("addName", { name: "a.mesh.internal", records: [] }),
    removeName: note("removeName", { name: "a.mesh.internal", records: [] }),
    lookUpName: note("lookUpName", { name: "a.mesh.internal", records: [] }),
    allocate: note("allocate", Promise.resolve(addresses)),
    claim: note("claim", Promise.resolve(addresses)),
    release: note("release", Promise.resolve(addresses)),
    exportAddresses: note("exportAddresses", {}),
    importAddresses: note(
      "importAddresses",
      Promise.resolve({ shares: true, restored: 0, left: [], gone: [] }),
    ),
    prime: note("prime", Promise.resolve({ done: true as const })),
    removePeers: note("removePeers", Promise.resolve({ peers: [], addresses: 0 })),
    leave: note("leave", Promise.resolve({ done: true as const })),
    stop: note("stop", { pid: 1, peersThroughDaemon: 0, answeredNames: false }),
    ...change,
  };
}

async function ask(method: string, path: string, body = "", change?: Partial<ControlApi>) {
  const calls: unknown[] = [];
  const unforeseen: unknown[] = [];
  const request = { method, path, body: new TextEncoder().encode(body) };
  const found = await answer(
    request,
    controlEndpoints(fakeApi(calls, change)),
    { failed: (error) => unforeseen.push(error), gone: () => new AbortController().signal },
  );
  return { ...found, json: JSON.parse(found.text), calls, unforeseen };
}

Deno.test("answer() hands over checked requests", async () => {
  const usual = { noWait: false, timeoutMs: 60_000 };
  const asked: readonly (readonly [method: string, path: string, body: unknown, call: unknown])[] = [
    ["GET", "/status", undefined, ["status", undefined]],
    ["GET", "/report", undefined, ["report", undefined]],
    ["GET", "/docker", undefined, ["docker", undefined]],
    ["GET", "/daemon", undefined, ["daemon", undefined]],
    ["POST", "/connect", { targets: ["a"] }, ["connect", { targets: ["a"], replace: false }]],
    ["POST", "/connect", { targets: [], replace: true }, ["connect", { targets: [], replace: true }]],
    ["POST", "/forget", { targets: ["a"] }, ["forget", { targets: ["a"] }]],
    ["POST", "/attach", { target: "pid:1", addresses: ["x"], names: ["web"] }, ["attach", {
      target: "pid:1",
      addresses: ["x"],
      ...{ force: false, noDns: false, names: ["web"] },
      ...usual,
    }]],
    ["POST", "/attach", { target: "pid:1", force: true, noWait: true, timeoutMs: 7 }, ["attach", {
      target: "pid:1",
      ...{ addresses: [], names: [], noDns: false, force: true },
      ...{ noWait: true, timeoutMs: 7 },
    }]],
    ["POST", "/expose", {}, ["expose", { addresses: [], names: [], masquerade: true, ...usual }]],
    ["POST", "/expose", { addresses: ["x"], names: ["a"], masquerade: false }, ["expose", {
      ...{ addresses: ["x"], names: ["a"], masquerade: false },
      ...usual,
    }]],
    ["POST", "/hide", { addresses: ["x"] }, ["hide", { addresses: ["x"] }]],
    ["GET", "/ps", undefined, ["holders", undefined]],
    ["POST", "/ipam/allocate", { holder: "a" }, ["allocate", { holder: "a", subnet: null, ...usual }]],
    ["POST", "/ipam/claim", { holder: "a", address: "x" }, ["claim", {
      holder: "a",
      address: "x",
      ...usual,
    }]],
    ["POST", "/ipam/release", { holder: "a" }, ["release", { holder: "a", address: null }]],
    ["GET", "/ipam/export", undefined, ["exportAddresses", undefined]],
    ["POST", "/ipam/import", { backup: { a: 1 } }, ["importAddresses", { backup: { a: 1 }, gone: [] }]],
    ["POST", "/ipam/import", { backup: 7, gone: ["h"] }, ["importAddresses", { backup: 7, gone: ["h"] }]],
    ["POST", "/prime", {}, ["prime", usual]],
    ["POST", "/rmpeer", { peers: ["a"] }, ["removePeers", { peers: ["a"], ...usual }]],
    ["POST", "/leave", {}, ["leave", undefined]],
    ["GET", "/dns", undefined, ["names", undefined]],
    ["POST", "/dns/add", { name: "web", records: ["10.2.1.1"], order: "random" }, ["addName", {
      ...{ name: "web", records: ["10.2.1.1"], order: "random" },
    }]],
    ["POST", "/dns/remove", { name: "web" }, ["removeName", { name: "web", records: [], order: null }]],
    ["POST", "/dns/lookup", { name: "web" }, ["lookUpName", { name: "web" }]],
    ["POST", "/detach", { target: "pid:1" }, ["detach", { target: "pid:1", addresses: [] }]],
  ];
  for (const [method, path, body, call] of asked) {
    const { status, calls } = await ask(method, path, body === undefined ? undefined : JSON.stringify(body));
    assert.equal(status, 200, path);
    assert.deepEqual(calls, [call]);
  }
});

const BAD: readonly (readonly [what: string, path: string, body: string, message: RegExp])[] = [
  ["broken JSON", "/connect", "{", /not JSON/],
  ["a list", "/connect", "[]", /not an object/],
  ["null", "/attach", "null", /not an object/],
  ["unknown fields", "/connect", '{"target":"a"}', /unknown field: target/],
  ["long texts", "/dns/add", `{"name":"${"a".repeat(5_000)}"}`, /field name has a text of 5000 characters/],
  ["long items", "/connect", `{"targets":["${"a".repeat(5_000)}"]}`, /field targets has a text of 5000/],
  ["a text for a list", "/connect", '{"targets":"a"}', /targets is not a list/],
  ["numbers", "/forget", '{"targets":[1]}', /targets is not a list/],
  ["empty texts", "/forget", '{"targets":[""]}', /targets is not a list/],
  ["too many", "/forget", JSON.stringify({ targets: Array(1025).fill("a") }), /targets is not a list/],
  ["a text for a switch", "/connect", '{"targets":[],"replace":"yes"}', /replace is not true or false/],
  ["no target", "/attach", '{"addresses":[]}', /target is missing/],
  ["a word for masquerading", "/expose", '{"masquerade":"no"}', /masquerade is not true or false/],
  ["a holder with blanks", "/ipam/allocate", '{"holder":"a b"}', /Cannot use "a b" as the name of a holder/],
  [
    "an endless holder",
    "/ipam/allocate",
    JSON.stringify({ holder: "x".repeat(257) }),
    /Cannot use "x+" as the name of a holder/,
  ],
  ["a number for a subnet", "/ipam/allocate", '{"holder":"a","subnet":1}', /subnet is no text/],
  ["a claim of nothing", "/ipam/claim", '{"holder":"a"}', /address is missing/],
  ["no name", "/dns/add", '{"records":[]}', /name is missing/],
  ["a list for a name", "/dns/lookup", '{"name":["web"]}', /name is missing/],
  ["a number for a record", "/dns/remove", '{"name":"web","records":[1]}', /records is not a list/],
  ["a wait that has no end", "/prime", '{"timeoutMs":1e99}', /timeoutMs is no time/],
  ["a wait before the beginning", "/attach", '{"target":"pid:1","timeoutMs":-1}', /timeoutMs is no time/],
  [
    "an endless target",
    "/attach",
    JSON.stringify({ target: "x".repeat(5000) }),
    /field target has a text of 5000/,
  ],
];

for (const [what, path, body, message] of BAD) {
  Deno.test(`answer() refuses ${what} with 400`, async () => {
    const { status, json, calls } = await ask("POST", path, body);
    assert.equal(status, 400);
    const error = json as ErrorAnswer;
    assert.equal(error.code, "usage/bad-option");
    assert.match(error.message, message);
    assert.equal(typeof error.hint, "string");
    assert.deepEqual(calls, []);
  });
}

Deno.test("answer() knows paths and methods", async () => {
  const missing = await ask("GET", "/statu");
  assert.equal(missing.status, 404);
  assert.equal(missing.json.hint, "Did you mean /status?");
  assert.equal((await ask("GET", "/__proto__")).status, 404);
  const wrong = await ask("POST", "/status", "{}");
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers["allow"], "GET");
});

Deno.test("answer() turns errors into code, message and hint", async () => {
  const attach = (error: unknown) => ({
    attach: () => {
      throw error;
    },
  });
  const body = '{"target":"netns:a","addresses":[]}';
  const cases: readonly (readonly [error: unknown, status: number, code: string, hint: string | null])[] = [
    [new MeshnetError("attach/bad-target", "m", { hint: "h" }), 400, "attach/bad-target", "h"],
    [new MeshnetError("attach/not-attached", "m"), 404, "attach/not-attached", null],
    [new MeshnetError("attach/failed", "m"), 500, "attach/failed", null],
    [new TypeError("oops"), 500, "control/request-failed", null],
  ];
  for (const [error, status, code, hint] of cases) {
    const got = await ask("POST", "/attach", body, attach(error));
    assert.equal(got.status, status);
    assert.equal(got.json.code, code);
    assert.equal(got.json.hint, hint);
  }
});

Deno.test("answer() tells of errors that nobody foresaw, and of no others", async () => {
  const oops = new TypeError("oops");
  const status = (error: unknown) => ({
    status: () => {
      throw error;
    },
  });
  assert.deepEqual((await ask("GET", "/status", "", status(oops))).unforeseen, [oops]);
  assert.deepEqual(
    (await ask("GET", "/status", "", status(new MeshnetError("attach/failed", "m")))).unforeseen,
    [],
  );
});

Deno.test("answer() holds the connection of /stop alone", async () => {
  assert.equal((await ask("POST", "/stop", "{}")).holds, true);
  assert.equal((await ask("GET", "/status")).holds, false);
});
