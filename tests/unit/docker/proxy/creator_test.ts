/** Containers that cannot be put on the mesh: what the client is told, and that none is left behind. */
import assert from "node:assert/strict";
import { parseAddressWish } from "../../../../mod/attach/mod.ts";
import { parseCidr } from "../../../../mod/core/addr.ts";
import { creator } from "../../../../mod/docker/proxy/creator_shell.ts";
import type {
  EngineAnswer,
  EngineCalls,
  EngineRequest,
} from "../../../../mod/docker/proxy/engine_calls_shell.ts";
import { decodeHead } from "../../../../mod/docker/proxy/http_head.ts";

const ID = "4f".repeat(32);
const CREATE = "POST /containers/create";
const FIND = "GET /networks/mesh";
const MAKE = "POST /networks/create";
const CONNECT = "POST /networks/mesh/connect";
const REMOVE = `DELETE /containers/${ID}?force=1&v=1`;

function answerOf(status: number, value: unknown = { message: `status ${status}` }): EngineAnswer {
  return { status, headers: [], body: new TextEncoder().encode(JSON.stringify(value)) };
}

/** Creates a container at an engine whose answers have these statuses; where it has none, nobody answers. */
async function create(
  statuses: Readonly<Record<string, number>>,
): Promise<
  { readonly status: number; readonly asked: readonly string[]; readonly warned: readonly string[] }
> {
  const asked: string[] = [];
  const warned: string[] = [];
  const ask = ({ method, target }: Pick<EngineRequest, "method" | "target">) => {
    const what = `${method} ${target}`;
    asked.push(what);
    const status = statuses[what];
    if (status === undefined) return Promise.reject(new Error("nobody answers"));
    return Promise.resolve(what === CREATE && status === 201 ? answerOf(201, { Id: ID }) : answerOf(status));
  };
  const engine = { ask, post: (target: string) => ask({ method: "POST", target }) };
  const common = parseCidr("10.32.0.0/12")!;
  const make = creator({
    options: {
      ...{ parse: parseAddressWish, common, all: true, domain: undefined },
      hostName: { label: undefined, match: undefined, replacement: "" },
    },
    common: { name: "mesh", driver: "meshnet", subnet: "10.32.0.0/12" },
    isOurs: (network) => network === "mesh",
    logger: { debug() {}, info() {}, warn: (event) => void warned.push(event), error() {} },
  }, engine as unknown as EngineCalls);
  const head = decodeHead(new TextEncoder().encode(`${CREATE} HTTP/1.1\r\nHost: a\r\n\r\n`));
  assert.ok(head.ok);
  const { status } = await make(head.value, new TextEncoder().encode("{}"));
  return { status, asked, warned };
}

Deno.test("creator() connects a container to a network that another one has made meanwhile", async () => {
  const { asked, status } = await create({ [FIND]: 404, [MAKE]: 409, [CREATE]: 201, [CONNECT]: 200 });
  assert.equal(status, 201);
  assert.ok(asked.includes(CONNECT));
});

Deno.test("creator() removes a container that it cannot connect; the client does not take it for a missing image", async () => {
  const created = { [FIND]: 200, [CREATE]: 201, [REMOVE]: 204 };
  const cases: readonly [statuses: Readonly<Record<string, number>>, status: number][] = [
    [{ ...created, [FIND]: 404, [MAKE]: 404 }, 500], // no such driver
    [{ ...created, [CONNECT]: 404 }, 500],
    [{ ...created, [CONNECT]: 403 }, 403],
    [{ [CREATE]: 201, [REMOVE]: 204 }, 502], // the call that finds the network breaks off
    [created, 502], // the call that connects it breaks off
  ];
  for (const [statuses, expected] of cases) {
    const { asked, status } = await create(statuses);
    assert.equal(status, expected);
    assert.equal(asked.at(-1), REMOVE);
  }
});

Deno.test("creator() says which container is left behind where it cannot be removed", async () => {
  const { status, warned } = await create({ [FIND]: 200, [CREATE]: 201, [CONNECT]: 500 });
  assert.equal(status, 500);
  assert.deepEqual(warned, ["container not removed", "container not created"]);
});
