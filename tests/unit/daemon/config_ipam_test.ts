import assert from "node:assert/strict";
import { formatCidr } from "../../../mod/core/addr.ts";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import { resolveConfig } from "../../../mod/daemon/config/config.ts";

type Given = Readonly<Record<string, string>>;

const ipamOf = (flags: Given) =>
  resolveConfig({ flags, env: {}, file: undefined, hostname: "host1", cwd: "/" }).ipam;

Deno.test("addresses are allocated from --ip-range, by default from --ip-subnet of it", () => {
  const ipam = ipamOf({ "ip-range": "10.40.0.0/16", "ip-subnet": "10.40.1.0/24" })!;
  assert.deepEqual([ipam.universe.cidr, ipam.subnet].map(formatCidr), ["10.40.0.0/16", "10.40.1.0/24"]);
  assert.equal(formatCidr(ipamOf({ "ip-range": "10.40.0.0/16" })!.subnet), "10.40.0.0/16");
});

Deno.test("--ip-range off, or an empty one, allocates nothing; then other options are refused", () => {
  for (const range of ["off", ""]) {
    assert.equal(ipamOf({ "ip-range": range }), undefined);
    assert.throws(() => ipamOf({ "ip-range": range, "ip-init": "observer" }), { code: "usage/bad-option" });
    assert.throws(() => ipamOf({ "ip-range": range, "ip-subnet": "10.0.0.0/24" }), {
      code: "usage/bad-option",
    });
  }
});

Deno.test("--ip-init says how the first hosts begin", () => {
  const initOf = (text: string) => ipamOf({ "ip-init": text })!.init;
  assert.deepEqual(initOf("consensus"), { kind: "consensus", peers: undefined });
  assert.deepEqual(initOf("consensus=3"), { kind: "consensus", peers: 3 });
  assert.deepEqual(initOf("observer"), { kind: "observer" });
  assert.deepEqual(initOf("seed=::2,00:00:00:00:00:01"), {
    kind: "seed",
    peers: ["00:00:00:00:00:02", "00:00:00:00:00:01"],
  });
});

Deno.test("--reclaim-after takes a time with its unit", () => {
  const msOf = (text: string) => ipamOf({ "reclaim-after": text })!.reclaimAfterMs;
  assert.deepEqual(["off", "90s", "30m", "24h", "2d"].map(msOf), [
    ...[undefined, 90_000, 1_800_000, 86_400_000, 172_800_000],
  ]);
});

const WRONG: readonly (readonly [option: string, value: string, hint: RegExp])[] = [
  ["ip-range", "10.32.0.0", /ADDRESS\/PREFIX/],
  ["ip-range", "ten", /ADDRESS\/PREFIX/],
  ["ip-range", "fd00::/64", /IPv4/],
  ["ip-range", "10.32.0.1/12", /^Give 10\.32\.0\.0\/12: the subnet of that length begins at 10\.32\.0\.0/],
  ["ip-range", "10.32.0.0/31", /at most 30: it has fewer than 4/],
  ["ip-range", "240.0.0.0/4", /no peer can express/],
  ["ip-range", "169.254.0.0/16", /containers ask their host's name server at 169\.254\.53\.53/],
  ["ip-subnet", "10.99.0.0/24", /within 10\.32\.0\.0\/12/],
  ["ip-subnet", "x", /ADDRESS\/PREFIX/],
  ["ip-init", "consensus=0", /number of hosts/],
  ["ip-init", "consensus=many", /number of hosts/],
  ["ip-init", "seed", /Name the first hosts/],
  ["ip-init", "seed=", /Name the first hosts/],
  ["ip-init", "seed=host1", /peer names/],
  ["ip-init", "observer=1", /takes no value/],
  ["reclaim-after", "24", /for example 24h/],
  ["reclaim-after", "1s", /from 60s/],
  ["reclaim-after", "366d", /to 365d/],
  ["reclaim-after", "soon", /for example 24h/],
  ["ip-init", "anarchy", /consensus, consensus=N/],
];

for (const [option, value, hint] of WRONG) {
  Deno.test(`--${option} ${value} is refused with its value and what would do`, () => {
    assert.throws(() => ipamOf({ [option]: value }), (error: MeshnetError) => {
      assert.equal(error.code, "usage/bad-option");
      assert.match(error.message, new RegExp(`Cannot use --${option}: value is `));
      assert.match(error.hint!, hint);
      return true;
    });
  });
}
