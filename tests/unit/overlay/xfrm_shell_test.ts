/** The shell of the kernel's IPsec over a kernel that keeps policies and associations. */
import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Logger, NetlinkSocket } from "../../../mod/core/ports.ts";
import type { EspPath, XfrmEffect, XfrmNews } from "../../../mod/overlay/esp_port.ts";
import { OWN_MARK, removeOwnXfrm, XfrmShell } from "../../../mod/overlay/xfrm_shell.ts";
import { NLM_F } from "../../../mod/wire/netlink.ts";
import { newPolicy, newSa, XFRM_MSG } from "../../../mod/wire/xfrm.ts";

const path: EspPath = { local: "192.0.2.1" as Ip, remote: "192.0.2.2" as Ip, port: 6784 };
const LINK = 1 as LinkId;
const log = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Logger;

/** Keeps messages by selector and SPI, as the kernel does. */
class FakeXfrm implements NetlinkSocket {
  readonly portId = 1;
  readonly policies = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly sas = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Message types that are refused, with the error. */
  readonly refused = new Map<number, number>();

  request(message: Uint8Array<ArrayBuffer>): readonly Uint8Array[] {
    const view = new DataView(message.buffer);
    const type = view.getUint16(4, true);
    const dump = (view.getUint16(6, true) & NLM_F.dump) === NLM_F.dump;
    const errno = this.refused.get(type);
    if (errno !== undefined) throw failed(errno);
    if (dump) return [...(type === XFRM_MSG.getSa ? this.sas : this.policies).values()];
    switch (type) {
      case XFRM_MSG.newPolicy:
      case XFRM_MSG.updPolicy: {
        const key = policyKey(message, 160);
        if (type === XFRM_MSG.newPolicy && this.policies.has(key)) throw failed(ERRNO.EEXIST);
        this.policies.set(key, retyped(message, XFRM_MSG.newPolicy));
        return [];
      }
      case XFRM_MSG.delPolicy:
        if (!this.policies.delete(policyKey(message, 60))) throw failed(ERRNO.ENOENT);
        return [];
      case XFRM_MSG.allocSpi: {
        const larval = retyped(message.slice(0, 240), XFRM_MSG.newSa);
        new DataView(larval.buffer).setUint32(0, 240, true);
        new DataView(larval.buffer).setUint32(16 + 72, 0xabcd);
        this.sas.set(saKey(larval, 72), larval);
        return [larval];
      }
      case XFRM_MSG.updSa:
      case XFRM_MSG.newSa:
        this.sas.set(saKey(message, 72), retyped(message, XFRM_MSG.newSa));
        return [];
      case XFRM_MSG.delSa:
        if (!this.sas.delete(saKey(message, 16))) throw failed(ERRNO.ESRCH);
        return [];
      default:
        throw new Error(`unknown type ${type}`);
    }
  }
  send(): void {}
  [Symbol.dispose](): void {}
  /** What becomes of packets outwards: "block", an SPI, or nothing is said. */
  get out(): string | undefined {
    const message = this.policies.get(`out`);
    if (message === undefined) return undefined;
    return message[16 + 161] === 1
      ? "block"
      : new DataView(message.buffer).getUint32(16 + 168 + 4 + 16).toString(16);
  }
}

const failed = (errno: number) => new MeshnetError("netlink/request-failed", "Kernel refuses", { errno });
const policyKey = (message: Uint8Array, at: number) => message[16 + at] === 1 ? "out" : "in";
const saKey = (message: Uint8Array<ArrayBuffer>, at: number) =>
  String(new DataView(message.buffer).getUint32(16 + at));

function retyped(message: Uint8Array<ArrayBuffer>, type: number): Uint8Array<ArrayBuffer> {
  const copy = message.slice();
  new DataView(copy.buffer).setUint32(0, copy.length, true);
  new DataView(copy.buffer).setUint16(4, type, true);
  return copy;
}

function made(kernel = new FakeXfrm()): { kernel: FakeXfrm; perform: (effect: XfrmEffect) => XfrmNews[] } {
  const shell = new XfrmShell({
    open: () => kernel,
    random: { below: () => 0, bytes: (count) => new Uint8Array(count).fill(5) },
    deriveKey: (_secret, { length }) => new Uint8Array(length).fill(9),
    self: "02:00:00:00:00:01" as PeerName,
    log,
  });
  const perform = (effect: XfrmEffect) => {
    const news: XfrmNews[] = [];
    shell.perform(effect, (each) => void news.push(each));
    return news;
  };
  return { kernel, perform };
}

const xfrm = { kind: "xfrm" } as const;
const guard = { ...xfrm, do: "guard", path } as const;
const send = (spi: number) => ({
  ...{ ...xfrm, do: "send", link: LINK, round: 1, path, spi } as const,
  ...{ nonce: new Uint8Array(32), peer: "02:00:00:00:00:02" as PeerName, sessionKey: new Uint8Array(32) },
});

Deno.test("XfrmShell blocks a path, seals it, blocks it again and lets it go", () => {
  const { kernel, perform } = made();
  assert.deepEqual(perform(guard), [{ kind: "xfrm-guarded", path, reason: undefined }]);
  assert.deepEqual([kernel.out, kernel.policies.size], ["block", 2]);
  const receive = {
    ...xfrm,
    do: "receive",
    link: LINK,
    round: 1,
    path,
    sessionKey: new Uint8Array(32),
  } as const;
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
  const selector = { src: path.local, dst: path.remote, port: 6784, mark: undefined } as const;
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
  perform({ ...xfrm, do: "keep", path, spi: 0x2000 });
  assert.deepEqual([kernel.out, kernel.policies.size], ["2000", 2]);
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
