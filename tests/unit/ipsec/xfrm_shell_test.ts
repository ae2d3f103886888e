/** The shell of the kernel's IPsec over a kernel that keeps policies and associations. */
import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import type { EspPath, XfrmEffect, XfrmNews } from "../../../mod/overlay/ports/esp_port.ts";
import { removeOwnXfrm } from "../../../mod/ipsec/xfrm_kernel_shell.ts";
import { OWN_MARK } from "../../../mod/ipsec/xfrm_plan.ts";
import { SOFT_PACKETS, XfrmShell } from "../../../mod/ipsec/xfrm_shell.ts";
import {
  deletePolicy,
  deleteSa,
  newPolicy,
  newSa,
  updatePolicy,
  XFRM_MSG,
} from "../../../mod/wire/netlink/xfrm.ts";
import { FakeXfrm } from "./fake_xfrm.ts";

const path: EspPath = { local: "192.0.2.1" as Ip, remote: "192.0.2.2" as Ip, port: 6784 };
const LINK = 1 as LinkId;
const log = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Logger;

interface Made {
  readonly kernel: FakeXfrm;
  readonly shell: XfrmShell;
  readonly perform: (effect: XfrmEffect) => XfrmNews[];
  /** What the shell has heard. */
  readonly take: () => XfrmNews[];
}

function made(kernel = new FakeXfrm(), { ciphersLater = false } = {}): Made {
  const shell = new XfrmShell({
    open: () => kernel,
    notices: kernel.notices,
    ciphersLater,
    random: { below: () => 0, bytes: (count) => new Uint8Array(count).fill(5) },
    deriveKey: (_secret, { length }) => new Uint8Array(length).fill(9),
    self: "02:00:00:00:00:01" as PeerName,
    log,
  });
  const gather = (run: (post: (news: XfrmNews) => void) => void) => {
    const news: XfrmNews[] = [];
    run((each) => void news.push(each));
    return news;
  };
  return {
    kernel,
    shell,
    perform: (effect) => gather((post) => shell.perform(effect, post)),
    take: () => gather((post) => shell.take(post)),
  };
}

const xfrm = { kind: "xfrm" } as const;
const guard = { ...xfrm, do: "guard", path } as const;
const send = (spi: number) => ({
  ...{ ...xfrm, do: "send", link: LINK, round: 1, path, spi } as const,
  ...{ nonce: new Uint8Array(32), peer: "02:00:00:00:00:02" as PeerName, sessionKey: new Uint8Array(32) },
});

const receive = {
  ...{ ...xfrm, do: "receive", link: LINK, round: 1, path } as const,
  sessionKey: new Uint8Array(32),
};
const keep = (spi: number | undefined): XfrmEffect => ({ ...xfrm, do: "keep", wanted: [{ path, spi }] });

Deno.test("XfrmShell blocks a path, seals it, blocks it again and lets it go", () => {
  const { kernel, perform } = made();
  assert.deepEqual(perform(guard), [{ kind: "xfrm-guarded", path, reason: undefined }]);
  assert.deepEqual([kernel.out, kernel.policies.size], ["block", 2]);
  const [receiving] = perform(receive);
  assert.ok(receiving?.kind === "xfrm-receiving" && receiving.spi === 0xabcd && receiving.nonce[0] === 5);
  assert.deepEqual(perform(send(0x2000)), [{ kind: "xfrm-sending", link: LINK, round: 1 }]);
  assert.deepEqual([kernel.out, kernel.sas.size], ["2000", 2]);
  perform({ ...xfrm, do: "carry", path, spi: undefined });
  assert.equal(kernel.out, "block");
  for (
    const [src, dst, spi] of [[path.local, path.remote, 0x2000], [path.remote, path.local, 0xabcd]] as const
  ) {
    perform({ ...xfrm, do: "forget", sa: { src, dst, spi } });
  }
  assert.deepEqual(perform({ ...xfrm, do: "unguard", path }), []);
  assert.deepEqual([kernel.policies.size, kernel.sas.size], [0, 0]);
  assert.deepEqual(perform({ ...xfrm, do: "unguard", path }), [], "it is gone already");
});

Deno.test("XfrmShell leaves what an earlier run sealed as it is, and removes what nobody claims", () => {
  const { kernel, perform } = made();
  perform(guard);
  perform(send(0x2000));
  const next = made(kernel);
  next.perform(guard);
  assert.equal(kernel.out, "2000", "traffic goes on");
  next.perform({ ...xfrm, do: "forget-earlier" });
  assert.equal(kernel.policies.size, 2, "claimed");
  assert.equal(kernel.sas.size, 0);
  made(kernel).perform({ ...xfrm, do: "forget-earlier" });
  assert.equal(kernel.policies.size, 0);
});

Deno.test("XfrmShell takes the place of another program's policy for the same packets", () => {
  const { kernel, perform } = made();
  const selector = { src: path.local, dst: path.remote, port: 6784, mark: undefined, sub: true } as const;
  const verdict = { kind: "esp", spi: 0x99, reqid: 1 } as const;
  kernel.request(newPolicy({ ...selector, direction: "out", priority: 7, verdict }));
  perform(guard);
  assert.equal(kernel.out, "block");
});

Deno.test("XfrmShell says what is missing, and does not throw", () => {
  const { kernel, perform } = made();
  perform(guard);
  kernel.refused.set(XFRM_MSG.newSa, ERRNO.EPROTONOSUPPORT);
  const [news] = perform(send(0x2000));
  assert.match(news?.kind === "xfrm-failed" ? news.reason : "", /esp4/);
  assert.equal(kernel.out, "block");
  kernel.refused.set(XFRM_MSG.updPolicy, ERRNO.EPERM);
  const [guarded] = perform(guard);
  assert.match(guarded?.kind === "xfrm-guarded" ? guarded.reason! : "", /IPsec.*refuses/);
  assert.deepEqual(perform({ ...xfrm, do: "carry", path, spi: 1 }), []);
});

Deno.test("XfrmShell puts back what another program flushed", () => {
  const { kernel, perform } = made();
  perform(guard);
  perform(send(0x2000));
  kernel.policies.clear();
  perform(keep(0x2000));
  assert.deepEqual([kernel.out, kernel.policies.size], ["2000", 2]);
  kernel.asked = [];
  const [present] = perform(keep(0x2000));
  assert.deepEqual(kernel.asked.map(([type]) => type), [XFRM_MSG.getPolicy, XFRM_MSG.getSa], "all is well");
  assert.deepEqual(present?.kind === "xfrm-present" && present.sas.map(({ spi }) => spi), [0x2000]);
});

Deno.test("XfrmShell puts right what another program made of a policy, outwards first", () => {
  const { kernel, perform } = made();
  perform(guard);
  perform(send(0x2000));
  const ends = { src: path.local, dst: path.remote, port: 6784, mark: undefined, sub: true } as const;
  const back = { ...ends, src: path.remote, dst: path.local };
  const esp = { kind: "esp", spi: 0x2000, reqid: OWN_MARK } as const;
  for (
    const [direction, change] of [
      ["out", { priority: 7, verdict: esp }],
      ["out", { priority: OWN_MARK, verdict: { ...esp, spi: 0x77 } }],
      ["out", { priority: OWN_MARK, verdict: { kind: "block" } }],
      ["in", { priority: OWN_MARK, verdict: { kind: "block" } }],
      ["in", { priority: OWN_MARK, verdict: { kind: "esp", spi: 0, reqid: 1 } }],
    ] as const
  ) {
    kernel.request(updatePolicy({ ...(direction === "out" ? ends : back), direction, ...change }));
    perform(keep(0x2000));
    assert.equal(kernel.out, "2000");
    kernel.asked = [];
    perform(keep(0x2000));
    assert.equal(kernel.asked.length, 2, "nothing is left to do");
  }
  kernel.policies.clear();
  kernel.asked = [];
  perform(keep(0x2000));
  const set = kernel.asked.filter(([type]) => type === XFRM_MSG.updPolicy);
  assert.deepEqual(set.map(([, message]) => message[16 + 160]), [1, 0]);
});

Deno.test("XfrmShell does not take for a key what the kernel made in its absence, and replaces it", () => {
  const { kernel, perform } = made();
  perform(guard);
  perform(send(0x2000));
  kernel.larval(0x2000);
  const [present] = perform(keep(0x2000));
  assert.deepEqual(present, { kind: "xfrm-present", sas: [] });
  assert.equal(perform(send(0x2000))[0]?.kind, "xfrm-sending");
});

Deno.test("XfrmShell gives a path up that it cannot guard any more", () => {
  const { kernel, perform } = made();
  perform(guard);
  kernel.policies.clear();
  kernel.refused.set(XFRM_MSG.updPolicy, ERRNO.EPERM);
  const [news] = perform(keep(undefined));
  assert.ok(news?.kind === "xfrm-guarded" && news.reason !== undefined);
});

Deno.test("XfrmShell hears what others do to its policies and keys, once, and not what it does itself", () => {
  const { kernel, perform, take } = made();
  perform(guard);
  perform(send(0x2000));
  const [out] = [{ src: path.local, dst: path.remote, port: 6784, mark: undefined, sub: true } as const];
  assert.deepEqual(take(), [], "all of it was our own doing");
  const elsewhere = { ...out, dst: "192.0.2.9" as Ip, direction: "out" } as const;
  const foreign = { src: path.local, dst: path.remote, spi: 0x3000, key: new Uint8Array(36), bound: false };
  kernel.foreign(newPolicy({ ...elsewhere, priority: 9, verdict: { kind: "block" } }));
  kernel.foreign(deletePolicy(elsewhere));
  kernel.foreign(newSa({ ...foreign, reqid: 1 }));
  kernel.foreign(deleteSa(foreign));
  assert.deepEqual(take(), [], "not ours");
  const disturbed = [{ kind: "xfrm-disturbed" }];
  kernel.foreign(deletePolicy({ ...out, direction: "out" }));
  assert.deepEqual(take(), disturbed);
  perform(keep(0x2000));
  assert.deepEqual(take(), [], "no loop");
  for (let i = 0; i < 100; i++) kernel.flushPolicies();
  assert.deepEqual(take(), disturbed, "a storm is one disturbance");
  kernel.flushSas();
  assert.deepEqual(take(), disturbed);
  perform(send(0x2000));
  kernel.foreign(deleteSa({ ...foreign, spi: 0x2000 }));
  assert.deepEqual(take(), disturbed);
  kernel.notices.push("overrun");
  assert.deepEqual(take(), disturbed, "what was lost could be anything");
  kernel.notices.queue.push(new Uint8Array(7));
  assert.deepEqual(take(), disturbed, "so could what nobody understands");
});

Deno.test("XfrmShell takes a bounded part of a storm at once", () => {
  const { kernel, take } = made();
  for (let i = 0; i < 1_000; i++) kernel.flushPolicies();
  take();
  assert.ok(kernel.notices.queue.length > 0);
  for (let i = 0; i < 10; i++) take();
  assert.equal(kernel.notices.queue.length, 0);
});

Deno.test("XfrmShell bounds what a key towards us carries, and tells when it is due", () => {
  const { kernel, perform, take } = made();
  perform(guard);
  const [receiving] = perform(receive);
  assert.ok(receiving?.kind === "xfrm-receiving");
  const sa = kernel.sa(0xabcd)!;
  assert.equal(new DataView(sa.buffer).getBigUint64(16 + 96 + 16, true), BigInt(SOFT_PACKETS));
  kernel.expire(0xabcd, false);
  const [worn, ...more] = take();
  assert.ok(worn?.kind === "xfrm-worn" && worn.sa.spi === 0xabcd && more.length === 0);
  kernel.expire(0xabcd, true);
  assert.deepEqual(take(), [{ kind: "xfrm-disturbed" }]);
});

Deno.test("XfrmShell lets keys wait for ciphers, and nothing else", () => {
  const { kernel, perform, shell } = made(new FakeXfrm(), { ciphersLater: true });
  assert.equal(perform(guard).length, 1);
  assert.equal(kernel.out, "block");
  const later: XfrmNews[] = [];
  for (const effect of [receive, send(0x2000), send(0x2001)]) {
    shell.perform(effect, (news) => void later.push(news));
  }
  assert.deepEqual([later.length, kernel.sas.size], [0, 0]);
  perform({ ...xfrm, do: "forget", sa: { src: path.local, dst: path.remote, spi: 0x2001 } });
  shell.ciphersReady();
  assert.deepEqual(later.map(({ kind }) => kind), ["xfrm-receiving", "xfrm-sending"]);
  assert.deepEqual([kernel.out, kernel.sas.size], ["2000", 2], "what was forgotten is not made");
  assert.equal(perform(send(0x2002)).length, 1);
});

Deno.test("XfrmShell replaces a relic of its own that has the peer's number, and nobody else's", () => {
  const { kernel, perform } = made();
  const sa = { src: path.local, dst: path.remote, key: new Uint8Array(36), bound: true };
  kernel.request(newSa({ ...sa, spi: 0x2000, reqid: OWN_MARK }));
  kernel.request(newSa({ ...sa, spi: 0x2001, reqid: 1 }));
  perform(guard);
  assert.equal(perform(send(0x2000))[0]?.kind, "xfrm-sending");
  assert.equal(perform(send(0x2001))[0]?.kind, "xfrm-failed");
});

Deno.test("XfrmShell uses the usual table of policies where the kernel has no other", () => {
  const { kernel, perform } = made(new FakeXfrm({ sub: false }));
  perform(guard);
  perform(send(0x2000));
  assert.deepEqual([kernel.out, kernel.policies.size], ["2000", 2]);
  kernel.flushPolicies();
  assert.equal(kernel.out, undefined);
  perform(keep(0x2000));
  assert.equal(kernel.out, "2000");
});

Deno.test("XfrmShell's policies survive a flush that does not mean them, and it cleans the other table", () => {
  const older = made(new FakeXfrm({ sub: false }));
  older.perform(guard);
  older.perform(send(0x2000));
  const kernel = new FakeXfrm();
  for (const [key, policy] of older.kernel.policies) kernel.policies.set(key, policy);
  const { perform } = made(kernel);
  perform(guard);
  assert.deepEqual([kernel.out, kernel.policies.size], ["block", 2], "one table only");
  kernel.flushPolicies();
  assert.equal(kernel.policies.size, 2);
  kernel.flushPolicies(true);
  assert.equal(kernel.policies.size, 0);
});

Deno.test("removeOwnXfrm() removes ours and nothing else", () => {
  const { kernel, perform } = made();
  perform(guard);
  perform(send(0x2000));
  const other = { src: path.local, dst: path.remote, spi: 0x3000, key: new Uint8Array(36), bound: false };
  kernel.request(newSa({ ...other, reqid: OWN_MARK + 1 }));
  assert.equal(removeOwnXfrm(kernel), 3);
  assert.deepEqual([kernel.policies.size, kernel.sas.size], [0, 1]);
});
