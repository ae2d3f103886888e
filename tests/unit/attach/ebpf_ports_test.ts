import assert from "node:assert/strict";
import { EbpfPorts } from "../../../mod/attach/mod.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { attributesOf, fakeSocket, headOf, refusal, u32Of, viewOf } from "../kernel_messages.ts";
import { FakeKernel } from "./fake_kernel.ts";

const KINDS: Readonly<Record<number, string>> = {
  16: "master",
  19: "settings",
  36: "hooks",
  44: "filter on",
  45: "filter off",
};

/** A bridge and an interface; `fails`: what the kernel refuses. */
function host(fails?: string) {
  const kernel = new FakeKernel();
  kernel.add("", "meshnet", "bridge");
  const { index } = kernel.add("", "vmn1", "veth");
  const behind = kernel.open(undefined);
  const asked: string[] = [];
  const filters: number[] = [];
  const socket = fakeSocket((message) => {
    const { body, type } = headOf(message);
    const kind = KINDS[type];
    if (kind === undefined) return [...behind.request(message as Uint8Array<ArrayBuffer>)];
    asked.push(kind);
    if (kind === fails) throw refusal(ERRNO.EIO);
    if (type < 30) return [...behind.request(message as Uint8Array<ArrayBuffer>)];
    assert.equal(viewOf(body).getInt32(4, true), index);
    if (kind === "hooks") throw refusal(ERRNO.EEXIST); // they are there
    if (kind === "filter off") filters.pop();
    else filters.push(u32Of(attributesOf(attributesOf(body, 20).get(2)!).get(6)!));
    return [];
  });
  const ports = new EbpfPorts(socket, "meshnet", { fd: 33, name: "meshnet 1 local" });
  return { asked, filters, kernel, ports };
}

Deno.test("EbpfPorts: a port has its program before it is one", () => {
  const { asked, filters, ports } = host();
  ports.add("vmn1");
  assert.deepEqual(asked, ["hooks", "filter on", "master", "settings"]);
  assert.deepEqual([filters, ports.has("vmn1")], [[33], true]);
});

for (const fails of ["filter on", "master", "settings"]) {
  Deno.test(`EbpfPorts: where the kernel refuses (${fails}), the interface is where it was, without a program`, () => {
    const { filters, kernel, ports } = host(fails);
    assert.throws(() => ports.add("vmn1"), { errno: ERRNO.EIO });
    assert.deepEqual([filters, [...kernel.ports]], [[], []]);
  });
}

Deno.test("EbpfPorts says which interface is missing", () => {
  assert.throws(() => host().ports.add("vmn9"), { message: /there is no vmn9/ });
});
