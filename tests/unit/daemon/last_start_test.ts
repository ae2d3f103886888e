import assert from "node:assert/strict";
import { MeshnetError } from "../../../mod/core/errors.ts";
import {
  FAILED_START_FILE,
  failedStart,
  forgetFailedStart,
  noteFailedStart,
  parseNote,
} from "../../../mod/daemon/last_start.ts";
import { afterStart } from "../../../mod/doctor/stopped_faults.ts";

/** In a folder that only this user may write into, and everybody above it too. */
function withFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    body(`${folder}/run`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("noteFailedStart() leaves why a start failed, and forgetFailedStart() takes it away", () => {
  withFolder((run) => {
    assert.equal(failedStart(run), undefined);
    forgetFailedStart(run);
    noteFailedStart(run, new MeshnetError("state/unreadable", "Cannot open it", { hint: "Restore it" }), 7);
    assert.deepEqual(failedStart(run), { at: 7, message: "Cannot open it", hint: "Restore it" });
    noteFailedStart(run, new Error("odd"), 8);
    assert.deepEqual(failedStart(run), { at: 8, message: "odd", hint: null });
    forgetFailedStart(run);
    assert.equal(failedStart(run), undefined);
  });
});

Deno.test("noteFailedStart() leaves nothing where another router runs, or anybody may write", () => {
  withFolder((run) => {
    noteFailedStart(run, new MeshnetError("up/already-running", "Another one runs"), 7);
    assert.throws(() => Deno.statSync(run), Deno.errors.NotFound);
    Deno.mkdirSync(run);
    Deno.chmodSync(run, 0o777);
    noteFailedStart(run, new Error("odd"), 7);
    assert.throws(() => Deno.statSync(`${run}/${FAILED_START_FILE}`), Deno.errors.NotFound);
  });
});

Deno.test("parseNote() takes no note that makes no sense, and bounds what it takes", () => {
  for (
    const text of [undefined, "", "[]", "null", "{}", `{"at":"x","message":"m"}`, `{"at":1,"message":""}`]
  ) {
    assert.equal(parseNote(text), undefined, text);
  }
  const note = parseNote(JSON.stringify({ at: 1, message: "m".repeat(10_000), hint: 3 }))!;
  assert.equal(note.message.length, 4_000);
  assert.equal(note.hint, null);
});

Deno.test("afterStart() makes one fault of a daemon that does not run and of why", () => {
  const fault = {
    check: "daemon",
    message: "The daemon is not running (nobody listens on /run/meshnet/control.sock)",
    fix: "Start it as root with `meshnet up`",
  };
  assert.deepEqual(afterStart(fault, { last: undefined, now: 0 }), fault);
  const last = { at: 1_000, message: "Cannot open state", hint: "Restore it" };
  assert.deepEqual(afterStart(fault, { last, now: 181_000 }), {
    check: "daemon",
    message: "The daemon is not running: its last start failed 3 min ago: Cannot open state",
    fix:
      "Restore it. Then start it again: `meshnet up`, or `systemctl restart meshnet` where it is a service",
  });
  assert.match(afterStart(fault, { last: { ...last, hint: null }, now: 0 }).fix!, /^Then start it again/);
});
