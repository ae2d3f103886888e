import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { processOf } from "../../../mod/daemon/names/own_file.ts";
import { ResolvFiles } from "../../../mod/daemon/names/resolv_files.ts";
import { MemoryStore } from "../memory_store.ts";

const warnings: string[] = [];
const logger = { debug() {}, info() {}, warn: (event: string) => void warnings.push(event), error() {} };
/** Processes whose files were given free. */
const held: string[] = [];
const OURS = "nameserver 169.254.53.53\nsearch mesh.internal corp.example\noptions ndots:2\n";
const THEIRS = "# by hand\nnameserver 192.0.2.53\nsearch corp.example\noptions ndots:2\n";

/** Files in a folder of their own; `again` is a daemon that starts anew. */
async function bench(
  test: (bench: {
    readonly files: ResolvFiles;
    readonly store: MemoryStore;
    readonly path: string;
    readonly again: (domain?: string) => ResolvFiles;
  }) => void,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const store = new MemoryStore();
    const resolvConf = `${folder}/host.conf`;
    Deno.writeTextFileSync(resolvConf, THEIRS);
    const again = (domain = "mesh.internal.") =>
      new ResolvFiles({
        ...{ store, logger, server: "169.254.53.53" as Ip, domain, resolvConf, folder },
        ownFile(pid) {
          if (pid === "13") throw new MeshnetError("attach/failed", "it is a link, or no file");
          return pid === "7"
            ? { path: `${folder}/web/resolv.conf`, [Symbol.dispose]: () => void held.push(pid) }
            : undefined;
        },
      });
    test({ files: again(), store, again, path: `${folder}/web/resolv.conf` });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const read = (path: string) => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
};

function put(path: string, text: string): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  Deno.writeTextFileSync(path, text);
}

Deno.test("ResolvFiles: a namespace without a file gets one like the host's, and loses it again", () =>
  bench(({ files, path }) => {
    for (const target of ["netns:web", "/run/netns/web", "/var/run/netns/web"]) {
      assert.equal(files.write(target), undefined);
      assert.equal(read(path), OURS);
      assert.equal(files.write(target), undefined);
      files.restore(target);
      assert.throws(() => Deno.statSync(path.replace("/resolv.conf", "")), Deno.errors.NotFound);
    }
  }));

Deno.test("ResolvFiles: all users can read the files, whatever the umask; those of others keep their modes", () =>
  bench(({ files, path }) => {
    const before = Deno.umask(0o077);
    try {
      const folder = path.replace("/resolv.conf", "");
      const modes = () => [folder, path].map((each) => Deno.statSync(each).mode! & 0o777);
      files.write("netns:web");
      assert.deepEqual(modes(), [0o755, 0o644]);
      files.restore("netns:web");
      put(path, THEIRS);
      files.write("netns:web");
      assert.deepEqual(modes(), [0o700, 0o600]);
    } finally {
      Deno.umask(before);
    }
  }));

Deno.test("ResolvFiles: a file of the namespace's own comes back as it was, also after a crash", () =>
  bench(({ again, files, path, store }) => {
    put(path, THEIRS);
    files.write("netns:web");
    assert.equal(read(path), OURS);
    again().reconcile(new Set(["netns:web"]));
    assert.equal(read(path), OURS);
    again("other.example.").reconcile(new Set(["netns:web"]));
    assert.match(read(path)!, /^search other\.example corp\.example$/m);
    again().reconcile(new Set()); // it was detached, and the daemon killed before it could write
    assert.equal(read(path), THEIRS);
    assert.equal(store.list("names/").length, 0);
  }));

Deno.test("ResolvFiles: killed between remembering and writing", () =>
  bench(({ again, files, path, store }) => {
    put(path, THEIRS);
    files.write("netns:web");
    put(path, THEIRS); // as if it had not been written
    again().restore("netns:web");
    assert.equal(read(path), THEIRS);

    files.write("netns:web");
    const before = store.get("names/resolv-conf/netns:web")!;
    again("other.example.").write("netns:web");
    put(path, OURS); // remembered as the new text, and still the old one
    again("other.example.").restore("netns:web");
    assert.equal(read(path), THEIRS);
    assert.ok(before.includes("mesh.internal"));
  }));

Deno.test("ResolvFiles: killed while a file is written, or given back: what it was comes back whole", () =>
  bench(({ again, files, path }) => {
    put(path, THEIRS);
    files.write("netns:web");
    for (const torn of ["", OURS.slice(0, 9), OURS.slice(0, -1), THEIRS.slice(0, 12)]) {
      put(path, torn);
      again().reconcile(new Set(["netns:web"]));
      assert.equal(read(path), OURS, JSON.stringify(torn));
      put(path, torn);
      again().reconcile(new Set());
      assert.equal(read(path), THEIRS, JSON.stringify(torn));
      again().write("netns:web");
    }
  }));

Deno.test("ResolvFiles: a file that cannot be given back is tried again", () =>
  bench(({ again, files, path, store }) => {
    put(path, THEIRS);
    files.write("netns:web");
    const write = Deno.writeTextFileSync;
    Deno.writeTextFileSync = () => {
      throw new Error("read-only file system");
    };
    try {
      files.restore("netns:web");
      assert.deepEqual(warnings.splice(0), ["file not given back"]);
      assert.throws(() => again().restoreAll(), /those of netns:web are as meshnet wrote them/);
      assert.deepEqual(warnings.splice(0), ["file not given back"]);
    } finally {
      Deno.writeTextFileSync = write;
    }
    again().reconcile(new Set());
    assert.equal(read(path), THEIRS);
    assert.equal(store.list("names/").length, 0);
  }));

Deno.test("ResolvFiles: what somebody changes while names are off stays as it is", () =>
  bench(({ again, files, path }) => {
    put(path, THEIRS);
    files.write("netns:web");
    files.withdraw();
    const mine = THEIRS.replace("options ndots:2\n", "");
    put(path, mine);
    again().reconcile(new Set(["netns:web"]));
    assert.equal(read(path), OURS.replace("options ndots:2\n", ""));
    again().restore("netns:web");
    assert.equal(read(path), mine);
  }));

Deno.test("ResolvFiles: what somebody changes stays as it is", () =>
  bench(({ again, files, path }) => {
    put(path, THEIRS);
    files.write("netns:web");
    const mine = `${OURS}options timeout:1\n`;
    put(path, mine);
    again().reconcile(new Set(["netns:web"]));
    assert.equal(read(path), mine);
    const warning = files.restore("netns:web");
    assert.equal(read(path), mine);
    assert.match(
      warning!,
      /resolv\.conf stays, as somebody has changed it; before, it was "# by hand\\nname/,
    );
    assert.deepEqual(warnings.splice(0), ["file stays as somebody has changed it"]);
    assert.equal(files.restore("netns:web"), undefined); // told once
  }));

Deno.test("ResolvFiles: off means that files are as they were, on that they are written again", () =>
  bench(({ again, files, path }) => {
    put(path, THEIRS);
    files.write("netns:web");
    again().withdraw();
    assert.equal(read(path), THEIRS);
    again().reconcile(new Set(["netns:web"]));
    assert.equal(read(path), OURS);
    assert.equal(again().restoreAll(), true);
    assert.equal(read(path), THEIRS);
    assert.equal(again().restoreAll(), false);
  }));

Deno.test("ResolvFiles: no link is followed, and what cannot be written is told", () =>
  bench(({ files, path, store }) => {
    const elsewhere = path.replace("/web/resolv.conf", "/precious");
    Deno.writeTextFileSync(elsewhere, THEIRS);
    Deno.mkdirSync(path.replace("/resolv.conf", ""));
    Deno.symlinkSync(elsewhere, path);
    assert.match(
      files.write("netns:web")!,
      /web\/resolv\.conf is not written: it is a link.*169\.254\.53\.53/,
    );
    assert.equal(read(elsewhere), THEIRS);
    Deno.removeSync(path);
    files.write("netns:web");
    Deno.removeSync(path);
    Deno.symlinkSync(elsewhere, path);
    assert.equal(files.restoreAll(), true); // somebody's, so there is nothing to give back
    assert.equal(read(elsewhere), THEIRS);
    Deno.removeSync(path);
    store.fails = new Error("disk full");
    assert.match(files.write("netns:web")!, /disk full/);
    assert.equal(read(path), undefined);
  }));

Deno.test("ResolvFiles: processes without one, other paths and names that lead elsewhere have no such file", () =>
  bench(({ files, store }) => {
    for (
      const target of [
        "pid:8",
        "/proc/8/ns/net",
        "netns:..",
        "/run/netns/../x",
        `container:${"0".repeat(64)}`,
      ]
    ) {
      assert.equal(files.write(target), undefined);
    }
    assert.equal(store.list("").length, 0);
    assert.deepEqual(warnings, []);
  }));

Deno.test("ResolvFiles: a process with a file of its own has ours as long as it is attached", () =>
  bench(({ again, files, path, store }) => {
    put(path, THEIRS);
    for (const target of ["pid:7", "/proc/7/ns/net"]) {
      held.length = 0;
      assert.equal(files.write(target), undefined);
      assert.equal(read(path), OURS);
      again().reconcile(new Set([target]));
      assert.equal(read(path), OURS);
      assert.equal(files.restore(target), undefined);
      assert.equal(read(path), THEIRS);
      assert.deepEqual([...store.records.keys()], []);
      assert.equal(held.length, 4); // each time that it was looked at
    }
    for (const target of ["pid:8", "/proc/8/ns/net", "pid:x", "/proc/7/ns/mnt", "/srv/netns"]) {
      assert.equal(files.write(target), undefined);
      assert.equal(files.restore(target), undefined);
    }
    assert.equal(read(path), THEIRS);
    assert.match(
      files.write("pid:13")!,
      /^Its \/etc\/resolv\.conf is not written: it is a link, or no file; names are/,
    );
  }));

Deno.test("processOf() knows the process of a target, and of nothing else", () => {
  for (const target of ["pid:12", "/proc/12/ns/net", "/proc/12/task/13/ns/net"]) {
    assert.equal(processOf(target), "12");
  }
  for (
    const target of [
      "pid:",
      "pid:1/../2",
      "/proc/self/ns/net",
      "/proc/1/ns/pid",
      "netns:12",
      "/x/proc/1/ns/net",
    ]
  ) {
    assert.equal(processOf(target), undefined, target);
  }
});

Deno.test("ResolvFiles.bypassing() tells of files that were ours and ask others now", async () => {
  await bench(({ files, path }) => {
    assert.equal(files.bypassing("netns:web"), undefined, "nobody told it to ask here");
    files.write("netns:web");
    assert.equal(files.bypassing("netns:web"), undefined);
    Deno.writeTextFileSync(path, THEIRS);
    assert.deepEqual(files.bypassing("netns:web"), { path, asks: "192.0.2.53" });
    Deno.removeSync(path); // it sees this host's file then
    assert.equal(files.bypassing("netns:web")?.asks, "192.0.2.53");
    files.restore("netns:web");
    assert.equal(files.bypassing("netns:web"), undefined);
  });
});
