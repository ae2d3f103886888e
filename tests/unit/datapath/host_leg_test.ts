import assert from "node:assert/strict";
import { ERRNO } from "../../../mod/core/errno.ts";
import { HostLeg, planLeg } from "../../../mod/datapath/host_leg.ts";
import { fakeSocket, refusal } from "../kernel_messages.ts";

const OPEN = { index: 7, qdisc: "noqueue", hasProgram: false };
const CLOSED = { index: 7, qdisc: "blackhole", hasProgram: true };
/** Types of requests: a link changed, a discipline made. */
const [SET_LINK, SET_QDISC] = [16, 36];

/** A kernel that refuses some types of request, and what was said and done. */
function trial() {
  const refuses = new Set<number>();
  const asked: number[] = [];
  const said: string[] = [];
  let open = 0;
  const socket = fakeSocket((message) => {
    const type = message[4]!;
    asked.push(type);
    if (refuses.has(type)) throw refusal(ERRNO.EOPNOTSUPP);
    return [];
  });
  const leg = new HostLeg({
    loadDropAll: () => (open++, { fd: 5, [Symbol.dispose]: () => void open-- }),
    log: { warn: (event) => void said.push(event) },
  });
  return { asked, leg, open: () => open, refuses, said, socket };
}

Deno.test("planLeg() closes both ways, and has nothing to do where they are closed", () => {
  assert.deepEqual(planLeg(OPEN), ["drop-arriving", "drop-leaving"]);
  assert.deepEqual(planLeg({ ...CLOSED, hasProgram: false }), ["drop-arriving"]);
  assert.deepEqual(planLeg({ ...CLOSED, qdisc: undefined }), ["drop-leaving"]);
  assert.deepEqual(planLeg(CLOSED), []);
});

Deno.test("planLeg() opens both ways, and has nothing to do where they are open", () => {
  assert.deepEqual(planLeg(CLOSED, true), ["take-arriving", "let-leave"]);
  assert.deepEqual(planLeg(OPEN, true), []);
});

Deno.test("HostLeg.keep() changes what is open, and nothing else; and opens it again when told so", () => {
  const { asked, leg, open, said, socket } = trial();
  assert.equal(leg.keep(socket, OPEN), true);
  assert.deepEqual([asked.splice(0), open(), said], [[SET_LINK, SET_QDISC], 0, []]);
  assert.equal(leg.keep(socket, CLOSED), false);
  assert.deepEqual(asked, []);
  leg.open = true;
  assert.equal(leg.keep(socket, CLOSED), true);
  assert.deepEqual(asked.splice(0), [SET_LINK, 37]);
  assert.equal(leg.keep(socket, OPEN), false);
});

Deno.test("HostLeg.keep() says once what the kernel refuses, does the rest, and calls nothing a repair", () => {
  const { asked, leg, open, refuses, said, socket } = trial();
  refuses.add(SET_LINK!);
  assert.equal(leg.keep(socket, OPEN), true);
  assert.equal(leg.keep(socket, { ...CLOSED, hasProgram: false }), false);
  assert.deepEqual([asked.length, open()], [3, 0]);
  assert.deepEqual(said, ["containers can reach this host"]);
  refuses.clear();
  assert.equal(leg.keep(socket, { ...CLOSED, hasProgram: false }), true);
});
