import assert from "node:assert/strict";
import { cleanHost } from "../../../mod/daemon/reset/host_cleanup.ts";
import { FakeKernel } from "../attach/fake_kernel.ts";

function withFolders(body: (stateDir: string, runDir: string) => void): void {
  const root = Deno.makeTempDirSync({ prefix: "meshnet-clean-" });
  try {
    for (const folder of ["state", "run"]) Deno.mkdirSync(`${root}/${folder}`);
    body(`${root}/state`, `${root}/run`);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

/** A host with what meshnet made, and with what looks like it but is not. */
function furnished(): FakeKernel {
  const kernel = new FakeKernel();
  for (
    const [name, kind] of [["vmn0123456789", "veth"], ["vmnabcdef0123", "veth"], ["mesh-tap", "tun"]] as const
  ) {
    kernel.add("", name, kind);
  }
  for (
    const [name, kind] of [
      ["lo", undefined],
      ["eth0", undefined],
      ["vmnet8", "veth"],
      ["vmn0123456780", "bridge"],
      ["vxlan-100", "vxlan"],
      ["veth0", "veth"],
    ] as const
  ) kernel.add("", name, kind);
  return kernel;
}

const names = (kernel: FakeKernel) => [...kernel.namespaces.get("")!.values()].map((link) => link.name);
const OTHERS = ["lo", "eth0", "vmnet8", "vmn0123456780", "vxlan-100", "veth0"];

Deno.test("cleanHost() removes what meshnet made, says so, and nothing else", () => {
  withFolders((stateDir, runDir) => {
    const kernel = furnished();
    for (const file of ["meshnet.db", "meshnet.db-wal"]) Deno.writeTextFileSync(`${stateDir}/${file}`, "");
    Deno.writeTextFileSync(`${runDir}/control.sock`, "");
    Deno.writeTextFileSync(`${runDir}/somebody-elses`, "");
    Deno.writeTextFileSync(`${runDir}/plugin.sock`, "");
    let datapaths = 1;
    using links = kernel.open(undefined);
    const removeDatapath = () => datapaths-- > 0;
    const removeIpsec = () => datapaths === 0;
    let rules = 1;
    const removeFirewall = () => rules-- > 0;
    const clean = () =>
      cleanHost({
        links,
        restoreFiles: () => false,
        removeDatapath,
        removeIpsec,
        removeFirewall,
        stateDir,
        keepState: false,
        runDir,
        sockets: [`${runDir}/plugin.sock`],
      });
    assert.deepEqual(clean(), {
      removed: [
        "datapath meshnet",
        "IPsec policies and keys",
        "rules in this host's firewall",
        "interface vmn0123456789",
        "interface vmnabcdef0123",
        "interface mesh-tap",
        `${stateDir}/meshnet.db`,
        `${stateDir}/meshnet.db-wal`,
        stateDir,
        `${runDir}/control.sock`,
        `${runDir}/plugin.sock`,
      ],
      failed: [],
    });
    assert.deepEqual(names(kernel), OTHERS);
    assert.deepEqual([...Deno.readDirSync(runDir)].map((entry) => entry.name), ["somebody-elses"]);
    assert.deepEqual(clean(), { removed: [], failed: [] });
  });
});

Deno.test("cleanHost() goes on after a failure and reports it", () => {
  withFolders((stateDir, runDir) => {
    const kernel = furnished();
    kernel.failAt = 0;
    using links = kernel.open(undefined);
    const removeDatapath = () => {
      throw new Error("not allowed");
    };
    const { removed, failed } = cleanHost({
      restoreFiles: () => false,
      links,
      removeDatapath,
      removeIpsec: () => false,
      removeFirewall: () => false,
      stateDir,
      keepState: false,
      runDir,
      sockets: [],
    });
    assert.deepEqual(removed, ["interface vmnabcdef0123", "interface mesh-tap", stateDir, runDir]);
    assert.equal(failed.length, 2);
    assert.equal(failed[0], "datapath meshnet: not allowed");
    assert.match(failed[1]!, /^interface vmn0123456789: Kernel refuses/);
  });
});

Deno.test("cleanHost() keeps the state while it is needed to give files back", () => {
  withFolders((stateDir, runDir) => {
    Deno.writeTextFileSync(`${stateDir}/meshnet.db`, "");
    using links = new FakeKernel().open(undefined);
    const no = () => false;
    const others = {
      links,
      removeDatapath: no,
      removeIpsec: no,
      removeFirewall: no,
      stateDir,
      keepState: false,
      runDir,
      sockets: [],
    };
    const restoreFiles = () => {
      throw new Error("read-only file system");
    };
    assert.deepEqual(cleanHost({ ...others, restoreFiles }), {
      removed: [runDir],
      failed: ["resolv.conf of namespaces: read-only file system"],
    });
    const { failed, removed } = cleanHost({ ...others, restoreFiles: () => true });
    assert.deepEqual(failed, []);
    assert.deepEqual(removed, ["resolv.conf of namespaces", `${stateDir}/meshnet.db`, stateDir]);
  });
});

Deno.test("cleanHost() keeps the state if it is told so, and removes all else", () => {
  withFolders((stateDir, runDir) => {
    const kernel = furnished();
    Deno.writeTextFileSync(`${stateDir}/meshnet.db`, "");
    Deno.writeTextFileSync(`${runDir}/control.sock`, "");
    using links = kernel.open(undefined);
    const { removed, failed } = cleanHost({
      links,
      restoreFiles: () => true,
      removeDatapath: () => true,
      removeIpsec: () => false,
      removeFirewall: () => false,
      stateDir,
      keepState: true,
      runDir,
      sockets: [],
    });
    assert.deepEqual(failed, []);
    assert.ok(
      removed.includes("datapath meshnet") && removed.includes(`${runDir}/control.sock`),
      `${removed}`,
    );
    assert.deepEqual([...Deno.readDirSync(stateDir)].map((entry) => entry.name), ["meshnet.db"]);
    assert.deepEqual(names(kernel).sort(), [...OTHERS].sort());
  });
});
