import assert from "node:assert/strict";
import { compress, compressInPieces, joinPayload, tar } from "../../../mod/tasks/payload.ts";
import { command, programFolder, root } from "../../../mod/tasks/run.ts";

const MIB = 1 << 20;

/** Stands for Deno: a script, padded to more than one piece, that tells how it was started. */
function fakeDeno(): Uint8Array {
  const script = '#!/bin/sh\n[ "$1" = --version ] && exit 0\n' +
    'echo "args:$*"\necho "exe:$MESHNET_EXE lib:$MESHNET_LIB_DIR options:${NODE_OPTIONS-none}"\nexit 7\n#';
  const bytes = new Uint8Array(3 * MIB).fill(0x20);
  bytes.set(new TextEncoder().encode(script));
  return bytes;
}

async function executable(folder: string): Promise<string> {
  const deno = fakeDeno();
  const path = `${folder}/meshnet`;
  const text = (value: string) => new TextEncoder().encode(value);
  const files = [{ path: "main.js", bytes: text("main") }, { path: "lib/libx.so", bytes: text("library") }];
  const bytes = joinPayload({
    launcher: Deno.readTextFileSync(`${root}/mod/tasks/launcher.sh`),
    runtime: Deno.readTextFileSync(`${root}/mod/tasks/runtime.sh`),
    version: "1.2.3",
    flags: ["-A", "--quiet"],
    systemCache: `${folder}/system`,
    denoSize: deno.length,
    deno: await compressInPieces(deno, 2),
    files: await compress(tar(files)),
    contents: files,
  });
  Deno.writeFileSync(path, bytes, { mode: 0o755 });
  return path;
}

interface Started {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function start(path: string, cache: string, more: Record<string, string> = {}): Promise<Started> {
  const { code, stdout, stderr } = await command([path, "status", "two words"], {
    clearEnv: true,
    env: { PATH: programFolder("test"), MESHNET_CACHE_DIR: cache, ...more },
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** Runs a test with an executable in a folder of its own. */
function withExecutable(name: string, body: (path: string, folder: string) => Promise<void>): void {
  Deno.test(`launcher.sh ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "meshnet-test-" });
    try {
      await body(await executable(folder), folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

const names = (folder: string): string[] => [...Deno.readDirSync(folder)].map((entry) => entry.name);

withExecutable("unpacks once, passes arguments on and returns the exit code", async (path, folder) => {
  const first = await start(path, `${folder}/cache`, { NODE_OPTIONS: "--inspect" });
  const [id] = names(`${folder}/cache`);
  const unpacked = `${folder}/cache/${id}`;
  assert.equal(first.err, "");
  assert.equal(first.code, 7);
  assert.equal(
    first.out,
    `args:run -A --quiet ${unpacked}/main.js status two words\nexe:${path} lib:${unpacked}/lib options:none\n`,
  );
  assert.deepEqual(Deno.readFileSync(`${unpacked}/meshnet`), fakeDeno());
  assert.equal(Deno.readTextFileSync(`${unpacked}/lib/libx.so`), "library");
  const { ino } = Deno.statSync(unpacked);
  await start(path, `${folder}/cache`);
  assert.deepEqual(names(`${folder}/cache`), [id]);
  assert.equal(Deno.statSync(unpacked).ino, ino);
});

withExecutable("unpacks whole when many start at once", async (path, folder) => {
  const all = await Promise.all(Array.from({ length: 8 }, () => start(path, `${folder}/cache`)));
  assert.deepEqual(all.map(({ code, err }) => ({ code, err })), Array(8).fill({ code: 7, err: "" }));
  assert.equal(names(`${folder}/cache`).length, 1);
});

withExecutable("goes to another folder when the first one cannot be made", async (path, folder) => {
  Deno.writeTextFileSync(`${folder}/file`, "");
  const { out } = await start(path, `${folder}/file/cache`, { HOME: `${folder}/home` });
  assert.match(out, new RegExp(`${folder}/system/1.2.3-`));
  Deno.removeSync(`${folder}/system`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/system`, "");
  const again = await start(path, `${folder}/file/cache`, { HOME: `${folder}/home` });
  assert.match(again.out, new RegExp(`${folder}/home/.cache/meshnet/1.2.3-`));
});

withExecutable("does not trust what others may have put there", async (path, folder) => {
  const cache = `${folder}/cache`;
  await start(path, cache);
  const [id] = names(cache);
  Deno.writeTextFileSync(`${cache}/${id}/meshnet`, "#!/bin/sh\necho evil\n");
  if (Deno.uid() === 0) {
    Deno.chownSync(`${cache}/${id}`, 65534, 65534);
    assert.match((await start(path, cache, { HOME: folder })).out, /^args:/);
  }
  const open = `${folder}/open`;
  Deno.mkdirSync(open);
  Deno.chmodSync(open, 0o777);
  await start(path, open, { HOME: folder });
  assert.deepEqual(names(open), []);
});

/** What may happen to an unpacked copy. */
const DAMAGES: readonly (readonly [what: string, damage: (copy: string) => void])[] = [
  ["lost the content of a file", (copy) => Deno.truncateSync(`${copy}/main.js`)],
  ["has a file that was cut", (copy) => {
    const { atime, mtime } = Deno.statSync(`${copy}/lib/libx.so`);
    Deno.truncateSync(`${copy}/lib/libx.so`, 3);
    Deno.utimeSync(`${copy}/lib/libx.so`, atime!, mtime!); // as after a crash, or a copy that was not finished
  }],
  ["has a file that was changed", (copy) => Deno.writeTextFileSync(`${copy}/main.js`, "niam")],
  ["has a runtime that was cut", (copy) => Deno.truncateSync(`${copy}/meshnet`, 2 * MIB)],
  ["lacks a file", (copy) => Deno.removeSync(`${copy}/lib/libx.so`)],
];

for (const [what, damage] of DAMAGES) {
  withExecutable(`replaces a copy that ${what}`, async (path, folder) => {
    const cache = `${folder}/cache`;
    await start(path, cache);
    const [id] = names(cache);
    const copy = `${cache}/${id}`;
    damage(copy);
    const { code, err } = await start(path, cache);
    assert.deepEqual([code, err], [7, ""]);
    assert.equal(Deno.readTextFileSync(`${copy}/main.js`), "main");
    assert.equal(Deno.readTextFileSync(`${copy}/lib/libx.so`), "library");
    assert.equal(Deno.statSync(`${copy}/meshnet`).size, 3 * MIB);
    const { ino } = Deno.statSync(copy);
    await start(path, cache);
    assert.equal(Deno.statSync(copy).ino, ino); // once is enough
  });
}

withExecutable(
  "removes copies of other releases that are old and that nothing runs",
  async (path, folder) => {
    const cache = `${folder}/cache`;
    const old = new Date(Date.now() - 3 * 86_400_000);
    for (const name of ["1.0.0-unused", "1.1.0-running", "1.2.0-fresh"]) {
      Deno.mkdirSync(`${cache}/${name}`, { recursive: true });
      Deno.copyFileSync("/bin/sleep", `${cache}/${name}/meshnet`);
      if (!name.endsWith("fresh")) Deno.utimeSync(`${cache}/${name}`, old, old);
    }
    Deno.mkdirSync(`${cache}/not-ours`);
    const running = command([`${cache}/1.1.0-running/meshnet`, "600"]).spawn();
    try {
      assert.equal((await start(path, cache)).code, 7);
    } finally {
      running.kill();
      await running.status;
    }
    const left = names(cache).filter((name) => !name.startsWith("1.2.3-")).sort();
    assert.deepEqual(left, ["1.1.0-running", "1.2.0-fresh", "not-ours"]);
  },
);

withExecutable("refuses a file that is cut short, and leaves nothing", async (path, folder) => {
  Deno.truncateSync(path, Deno.statSync(path).size - 10);
  const more = { XDG_CACHE_HOME: `${folder}/xdg`, TMPDIR: folder };
  const { code, err } = await start(path, `${folder}/cache`, more);
  assert.equal(code, 1);
  assert.match(err, /^meshnet: Cannot unpack itself into .*\n .*MESHNET_CACHE_DIR$/m);
  assert.deepEqual(names(`${folder}/cache`), []);
});

Deno.test("assemble() gives equal bytes for equal input", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-test-" });
  try {
    const once = Deno.readFileSync(await executable(folder));
    assert.deepEqual(Deno.readFileSync(await executable(folder)), once);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

withExecutable(
  "raises a low limit of open files, and refuses limits under which the runtime dies",
  async (path, folder) => {
    const under = async (limits: string) => {
      const { code, stdout, stderr } = await command(["sh", "-c", `${limits} && exec "$0" version`, path], {
        clearEnv: true,
        env: { PATH: programFolder("test"), MESHNET_CACHE_DIR: `${folder}/cache` },
      }).output();
      return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    assert.equal((await under("ulimit -S -n 20")).code, 7);
    assert.deepEqual(await under("ulimit -n 20"), {
      code: 1,
      text: "meshnet: Only 20 files may be open at once, too few to run\n" +
        "hint: Raise the limit to 1024 or more: ulimit -n 1024, or LimitNOFILE= of the service\n",
    });
    assert.equal((await under("ulimit -n 64")).code, 7);
    const { code, text } = await under("ulimit -v 4000000");
    assert.equal(code, 1);
    assert.match(
      text,
      /^meshnet: The limit of address space is 4096000000 bytes, too low to run\nhint: .*\n$/,
    );
    assert.equal((await under("ulimit -v 40000000")).code, 7);
  },
);
