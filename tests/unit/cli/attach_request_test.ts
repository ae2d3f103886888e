import assert from "node:assert/strict";
import { attachRequest } from "../../../mod/cli/attach_request.ts";

const here = () => "/srv/";

Deno.test("attachRequest() takes the last word as target, and a first one where the last is an address", () => {
  const of = (...args: string[]) => attachRequest(args, here);
  assert.deepEqual(of("10.2.1.1/24", "netns:a"), { target: "netns:a", addresses: ["10.2.1.1/24"] });
  const swapped = { target: "netns:a", addresses: ["ip:10.2.1.1/24", "fd00::1/64", "net:default"] };
  assert.deepEqual(of("netns:a", "ip:10.2.1.1/24", "fd00::1/64", "net:default"), swapped);
  assert.deepEqual(of("netns:a"), { target: "netns:a", addresses: [] });
  // What cannot be told is left to the daemon, which says what is wrong.
  assert.deepEqual(of("10.2.1.1/24"), { target: "10.2.1.1/24", addresses: [] });
  assert.deepEqual(of("10.2.1.1/24", "10.2.1.2/24"), { target: "10.2.1.2/24", addresses: ["10.2.1.1/24"] });
  assert.deepEqual(of("netns:a", "10.2.1.1"), { target: "10.2.1.1", addresses: ["netns:a"] });
});

Deno.test("attachRequest() makes relative paths absolute", () => {
  assert.equal(attachRequest(["./ns/a"], here).target, "/srv/ns/a");
  assert.equal(attachRequest(["../a", "net:default"], here).target, "/srv/../a");
});
