import assert from "node:assert/strict";
import { listenAtFile } from "../../../mod/control/socket_file.ts";

/** A folder that all may enter, and the path of a socket in it. */
class Place implements Disposable {
  readonly folder = Deno.makeTempDirSync();
  readonly path = `${this.folder}/control.sock`;

  constructor() {
    Deno.chmodSync(this.folder, 0o777);
  }

  get names(): readonly string[] {
    return [...Deno.readDirSync(this.folder)].map(({ name }) => name).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function modeOf(path: string): string {
  return (Deno.lstatSync(path).mode! & 0o7777).toString(8);
}

/** Has a function of the runtime call something first, while some work is done. */
function spying<Name extends "listen" | "renameSync">(name: Name, first: () => void, work: () => void): void {
  const { [name]: real } = Deno;
  const spy = (...args: unknown[]) => {
    first();
    return (real as (...args: unknown[]) => unknown)(...args);
  };
  Object.defineProperty(Deno, name, { value: spy, configurable: true, writable: true });
  try {
    work();
  } finally {
    Object.defineProperty(Deno, name, { value: real, configurable: true, writable: true });
  }
}

Deno.test("listenAtFile() makes a socket for owner and group, whatever the umask is", async () => {
  for (const umask of [0o000, 0o022, 0o077, 0o117]) {
    using place = new Place();
    const before = Deno.umask(umask);
    try {
      const { listener } = listenAtFile(place.path);
      assert.equal(Deno.umask(), umask);
      const accepted = listener.accept();
      (await Deno.connect({ transport: "unix", path: place.path })).close();
      (await accepted).close();
      listener.close();
    } finally {
      Deno.umask(before);
    }
    assert.deepEqual([modeOf(place.path), place.names], ["660", ["control.sock"]], umask.toString(8));
  }
});

Deno.test("listenAtFile() gives the socket to a group", { ignore: Deno.uid() !== 0 }, () => {
  using place = new Place();
  const { listener } = listenAtFile(place.path, { group: 12_345 });
  using _listener = listener;
  assert.deepEqual([modeOf(place.path), Deno.lstatSync(place.path).gid], ["660", 12_345]);
});

Deno.test("listenAtFile() has no moment in which others can connect, or in which files of others get another mode", () => {
  using place = new Place();
  const seen: string[] = [];
  const only = () => {
    const [name] = place.names;
    return `${place.folder}/${name}`;
  };
  const before = Deno.umask(0o000);
  try {
    let listener: Deno.Listener | undefined;
    const atRename = () => {
      const [socket] = [...Deno.readDirSync(only())].map(({ name }) => `${only()}/${name}`);
      seen.push(`rename: folder ${modeOf(only())}, socket ${modeOf(socket!)}`);
    };
    const atListen = () => {
      const file = `${place.folder}/.. another thread's`;
      Deno.writeTextFileSync(file, "");
      seen.push(`file ${modeOf(file)}`);
      Deno.removeSync(file);
      seen.push(`listen: folder ${modeOf(only())}`);
    };
    spying("renameSync", atRename, () => {
      spying("listen", atListen, () => void (listener = listenAtFile(place.path).listener));
    });
    listener!.close();
  } finally {
    Deno.umask(before);
  }
  assert.deepEqual(seen, ["file 666", "listen: folder 700", "rename: folder 700, socket 660"]);
});

Deno.test("listenAtFile() clears away what a killed daemon left, and goes into no folder of others", () => {
  using place = new Place();
  const [folder, first] = [`${place.folder}/.first`, ".first/s"];
  const left = Deno.listen({ transport: "unix", path: place.path });
  Deno.mkdirSync(folder, { mode: 0o777 });
  Deno.chmodSync(folder, 0o777);
  Deno.renameSync(place.path, `${folder}/s`); // its file stays when it is closed
  left.close();
  listenAtFile(place.path, { first }).listener.close();
  assert.deepEqual([modeOf(place.path), place.names], ["660", ["control.sock"]]);
  Deno.removeSync(place.path);
  Deno.mkdirSync(folder);
  Deno.writeTextFileSync(`${folder}/theirs`, "");
  assert.throws(() => listenAtFile(place.path, { first }), Deno.errors.AlreadyExists);
  assert.deepEqual([place.names, Deno.readTextFileSync(`${folder}/theirs`)], [[".first"], ""]);
});

Deno.test("listenAtFile() leaves nothing behind where it cannot take its place", () => {
  using place = new Place();
  Deno.mkdirSync(`${place.path}/full`, { recursive: true });
  assert.throws(() => listenAtFile(place.path)); // the listener is closed, or this test leaks it
  assert.deepEqual(place.names, ["control.sock"]);
});

Deno.test("listenAtFile() takes the place of what is there, and knows and removes only its own file", () => {
  using place = new Place();
  Deno.writeTextFileSync(place.path, "");
  const one = listenAtFile(place.path);
  assert.ok(one.isThere());
  const two = listenAtFile(place.path);
  assert.deepEqual([one.isThere(), two.isThere()], [false, true]);
  one.remove();
  one.listener.close();
  assert.ok(two.isThere());
  two.remove();
  assert.deepEqual([two.isThere(), place.names], [false, []]);
  two.listener.close();
});
