import assert from "node:assert/strict";
import { watchOver } from "../../../mod/control/folder_watch.ts";

/** The kernel tells within milliseconds, unless the machine is busy. */
const PATIENCE_MS = 20_000;
/** A watch may miss what happens in its first moments. */
const BEGIN_MS = 200;
/** So long nothing is told, where nothing is to be. What is to be told by then was told before it was asked for. */
const SILENCE_MS = 300;

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A folder below another one, and how often each of those who look at it was called. */
class Place implements Disposable {
  readonly above = Deno.makeTempDirSync();
  readonly folder = `${this.above}/run`;
  readonly #undo = new DisposableStack();

  constructor() {
    Deno.mkdirSync(this.folder);
  }

  look(folder = this.folder) {
    const seen = { calls: 0 };
    const watch = this.#undo.use(watchOver(folder, () => void seen.calls++));
    const told = async (what: string, act: () => void) => {
      const before = seen.calls;
      act();
      for (const end = performance.now() + PATIENCE_MS; seen.calls === before;) {
        if (performance.now() > end) throw new Error(`Nothing was told of ${what}`);
        await after(10);
      }
      await after(BEGIN_MS); // of the next watch, if it has begun anew
    };
    return { seen, watch, told };
  }

  make(name: string): void {
    Deno.writeTextFileSync(`${this.folder}/${name}`, "");
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
    Deno.removeSync(this.above, { recursive: true });
  }
}

Deno.test("watchOver() tells of what is made, renamed and removed in a folder, and of nothing else", async () => {
  using place = new Place();
  const { seen, told } = place.look();
  await after(BEGIN_MS);
  await told("a new file", () => place.make("a"));
  await told("a new name", () => Deno.renameSync(`${place.folder}/a`, `${place.folder}/b`));
  const before = seen.calls;
  Deno.writeTextFileSync(`${place.folder}/b`, "written");
  Deno.readTextFileSync(`${place.folder}/b`);
  for (const name of ["a", "runs", "a run"]) Deno.writeTextFileSync(`${place.above}/${name}`, "");
  await after(SILENCE_MS);
  assert.equal(seen.calls, before);
  await told("a file that is removed", () => Deno.removeSync(`${place.folder}/b`));
});

Deno.test("watchOver() goes on in a folder that took the place of the old one, however it did", async () => {
  using place = new Place();
  const { told, watch } = place.look();
  await after(BEGIN_MS);
  await told("a folder that is removed", () => Deno.removeSync(place.folder, { recursive: true }));
  await told("a folder that is made again", () => Deno.mkdirSync(place.folder));
  await told("a file in it", () => place.make("a"));
  Deno.mkdirSync(`${place.above}/next`);
  await told("a folder that is moved away", () => Deno.renameSync(place.folder, `${place.above}/old`));
  await told("a folder that is moved here", () => Deno.renameSync(`${place.above}/next`, place.folder));
  await told("a file in that", () => place.make("b"));
  assert.equal(watch.isBlind, false);
});

Deno.test("watchOver() is one watch for all who look, until the last of them leaves", async () => {
  using place = new Place();
  const [one, two] = [place.look(), place.look()];
  await after(BEGIN_MS);
  await one.told("a file", () => place.make("a"));
  one.watch[Symbol.dispose]();
  one.watch[Symbol.dispose]();
  const before = one.seen.calls;
  await two.told("another file", () => place.make("b"));
  assert.equal(one.seen.calls, before);
  two.watch[Symbol.dispose]();
  two.watch.renew(); // nobody is there for whom
  assert.equal(two.watch.isBlind, false); // it ends a little later
  // The runtime has not yet ended the old watch, and the folder is another one already.
  Deno.removeSync(place.folder, { recursive: true });
  Deno.mkdirSync(place.folder);
  const three = place.look();
  await after(BEGIN_MS);
  await three.told("a file in the new folder", () => place.make("c"));
});

Deno.test("watchOver() says that it is blind where nothing can be watched, and sees again once it can be", async () => {
  using place = new Place();
  const folder = `${place.above}/no/such`;
  const { seen, told, watch } = place.look(folder);
  assert.equal(watch.isBlind, true);
  Deno.mkdirSync(folder, { recursive: true });
  watch.renew();
  assert.deepEqual({ blind: watch.isBlind, calls: seen.calls }, { blind: false, calls: 1 });
  await after(BEGIN_MS);
  await told("a file", () => Deno.writeTextFileSync(`${folder}/a`, ""));
});

Deno.test("watchOver() tells of the root folder, which has no name and no folder above", {
  ignore: Deno.uid() !== 0,
}, async () => {
  using place = new Place();
  const { told } = place.look("/");
  await after(BEGIN_MS);
  let made = "";
  try {
    await told(
      "a new folder",
      () => void (made = Deno.makeTempDirSync({ dir: "/", prefix: "meshnet-test-" })),
    );
  } finally {
    Deno.removeSync(made);
  }
});
