/** Names inside containers: questions are brought to us while somebody listens there, and at no other time. */
import assert from "node:assert/strict";
import { InsideNames, sourceIn } from "../../../mod/daemon/engine/inside_names.ts";
import type { InsidePlace } from "../../../mod/dns/service_types.ts";

const PATH = "/run/docker/netns/a";

class Trial {
  readonly served = new Map<string, InsidePlace>();
  readonly redirected = new Set<string>();
  readonly logged: string[] = [];
  refuses: string | undefined;
  tell: (problem: string | undefined) => void = () => {};
  readonly waits: number[] = [];
  /** What is to be done later. */
  next: (() => void) | undefined;
  readonly inside = new InsideNames({
    service: {
      serveInside: (id, place, told) => {
        if (place === undefined) this.served.delete(id);
        else this.served.set(id, place);
        if (told !== undefined) this.tell = told;
      },
    },
    redirect: (path) => {
      if (this.refuses !== undefined) throw new Error(this.refuses);
      this.redirected.add(path);
      return { [Symbol.dispose]: () => void this.redirected.delete(path) };
    },
    later: (ms, work) => {
      this.waits.push(ms);
      this.next = work;
    },
    log: { warn: (_, fields) => void this.logged.push(String(fields?.["reason"])) },
  });
}

Deno.test("questions come to us once somebody listens, and to the engine again when nobody does", () => {
  const trial = new Trial();
  const answering = trial.inside.answer(PATH);
  assert.deepEqual([trial.served.size, trial.redirected.size], [1, 0]);
  trial.tell(undefined);
  trial.tell(undefined);
  assert.deepEqual([...trial.redirected], [PATH]);
  trial.tell("the name server has ended");
  assert.equal(trial.redirected.size, 0);
  trial.tell(undefined);
  assert.equal(trial.redirected.size, 1);
  answering[Symbol.dispose]();
  assert.deepEqual([trial.served.size, trial.redirected.size], [0, 0]);
  trial.tell(undefined);
  assert.equal(trial.redirected.size, 0, "it is over");
});

Deno.test("what fails at first is tried again at once: the namespace has no loopback yet; later it is a problem", () => {
  const trial = new Trial();
  trial.refuses = "no nf_tables";
  const answering = trial.inside.answer(PATH);
  trial.tell("no such address");
  trial.next!();
  while (trial.inside.problem === undefined) {
    assert.deepEqual(trial.logged, []);
    trial.tell(undefined);
    trial.next!();
  }
  assert.deepEqual(trial.waits, [5, 10, 20, 40, 80, 160, 320, 640, 1_280]);
  assert.deepEqual([trial.inside.problem, trial.logged], ["no nf_tables", ["no nf_tables"]]);
  trial.refuses = undefined;
  trial.tell(undefined);
  assert.deepEqual([trial.inside.problem, trial.redirected.size], [undefined, 1]);
  answering[Symbol.dispose]();
  assert.equal(trial.redirected.size, 0);
});

Deno.test("nothing is tried again for a container that has gone", () => {
  const trial = new Trial();
  const answering = trial.inside.answer(PATH);
  trial.tell("no such address");
  answering[Symbol.dispose]();
  trial.next!();
  assert.equal(trial.served.size, 0);
});

Deno.test("the engine's names come first in containers of other networks, whenever that is known", () => {
  const trial = new Trial();
  trial.inside.shares(PATH, true);
  using _answering = trial.inside.answer(PATH);
  assert.equal(trial.served.get(PATH)!.engineFirst, true);
  trial.inside.shares(PATH, false);
  assert.equal(trial.served.get(PATH)!.engineFirst, false);
});

Deno.test("what stands for the source of questions is an address of the loopback's, its own in each namespace", () => {
  const sources = Array.from({ length: 100 }, (_, i) => sourceIn(`/run/docker/netns/${i}`));
  assert.ok(sources.every((source) => source >>> 24 === 127));
  assert.equal(new Set(sources).size, 100);
});
