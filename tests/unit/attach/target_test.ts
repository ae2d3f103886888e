import assert from "node:assert/strict";
import {
  CONTAINER_INTERFACE,
  CONTAINER_INTERFACE_WEAVE,
  HOST_PREFIX,
  hostInterface,
  isHostInterface,
  shortHash,
  temporaryName,
} from "../../../mod/attach/names.ts";
import {
  findTarget,
  type NamespaceProbe,
  parseAttachTarget,
  resolveTarget,
} from "../../../mod/attach/target.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";

const RUNS = "4f".repeat(32);

const probe: NamespaceProbe = {
  identify: (path) => {
    if (path === "/secret") throw new Error("permission denied");
    return path.includes("gone")
      ? undefined
      : { device: path === "/file" ? 9 : 4, inode: path === "/own" ? 1 : 2 };
  },
  own: () => ({ device: 4, inode: 1 }),
  processMark: (pid) => pid === 7 ? "boot 7" : undefined,
  container: (id) => id === RUNS ? { kind: "running", pid: 7, name: "web" } : { kind: "stopped", name: "db" },
};

Deno.test("parseTarget() takes names, processes and paths", () => {
  assert.deepEqual(parseAttachTarget("netns:web.1"), {
    kind: "name",
    text: "netns:web.1",
    path: "/run/netns/web.1",
  });
  assert.deepEqual(parseAttachTarget("pid:42"), {
    kind: "process",
    text: "pid:42",
    path: "/proc/42/ns/net",
    pid: 42,
  });
  assert.deepEqual(parseAttachTarget("/x/y"), { kind: "path", text: "/x/y", path: "/x/y" });
});

Deno.test("parseTarget() says what would do instead", () => {
  const cases: [text: string, message: RegExp][] = [
    ["", /empty target/],
    ["web", /neither a namespace nor a container/], // names of containers come as ids
    ["$(rm -rf x)", /neither a namespace nor a container/],
    ["container:4F", /neither a namespace nor a container/],
    ["10.2.1.1/24", /it is an address/],
    ["ip:10.2.1.1/24", /it is an address/],
    ["fd00::1/64", /it is an address/],
    ["netns:", /name is empty/],
    ["netns:..", /no slash/],
    ["netns:a/b", /no slash/],
    ["pid:0", /positive number/],
    ["pid:-1", /positive number/],
    ["pid:web", /positive number/],
    ["pid:99999999999", /positive number/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseAttachTarget(text), (thrown) => {
      assert.ok(thrown instanceof MeshnetError && thrown.code === "usage/bad-target", text);
      assert.match(thrown.message, message);
      assert.match(thrown.hint!, /netns:(NAME|web)/);
      assert.ok(!thrown.hint!.includes("$(rm"), "a hint is for pasting into a shell");
      return true;
    });
  }
});

Deno.test("findTarget() and resolveTarget() judge what is there", () => {
  const at = (text: string) => findTarget(parseAttachTarget(text), probe);
  assert.deepEqual(at("netns:a")?.namespace, { device: 4, inode: 2 });
  assert.equal(at("pid:7")?.processMark, "boot 7");
  assert.equal(at("pid:8"), undefined);
  assert.equal(at("netns:gone"), undefined);
  assert.throws(() => at("/own"), { message: /host's own network namespace/, hint: /`meshnet expose`/ });
  assert.throws(() => at("/file"), /not a network namespace/);
  assert.throws(() => at("/secret"), { code: "attach/bad-target", message: /permission denied/ });
  assert.throws(() => resolveTarget(parseAttachTarget("netns:gone"), probe), /no \/run\/netns\/gone$/);
  assert.throws(() => resolveTarget(parseAttachTarget("pid:8"), probe), /process 8/);
  assert.throws(() => resolveTarget(parseAttachTarget("/gone"), probe), /no \/gone$/);
  assert.equal(at(`container:${RUNS}`)?.path, "/proc/7/ns/net");
  const stopped = `container:${"5f".repeat(32)}`;
  assert.equal(at(stopped), undefined);
  assert.throws(() => resolveTarget(parseAttachTarget(stopped), probe), /container db: it does not run/);
});

Deno.test("shortHash() is FNV-1a and the same every time", () => {
  // Test vectors of the algorithm's authors: 64-bit FNV-1a of "" and "foobar", first ten digits.
  assert.equal(shortHash(""), "cbf29ce484");
  assert.equal(shortHash("foobar"), "85944171f7");
});

Deno.test("interface names fit the kernel", () => {
  const end = hostInterface(shortHash("x"));
  for (const name of [end, temporaryName(end), CONTAINER_INTERFACE, CONTAINER_INTERFACE_WEAVE]) {
    assert.ok(name.length <= 15, name);
  }
  assert.ok(isHostInterface(end) && !isHostInterface(temporaryName(end)));
  for (const other of [`${HOST_PREFIX}0`, "vmnet8", "vmn0123456789a", "xvmn0123456789"]) {
    assert.equal(isHostInterface(other), false, other);
  }
});
