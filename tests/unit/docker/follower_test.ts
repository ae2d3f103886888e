/** A follower and an engine that answers late, in odd order, with events twice, and that comes and goes. */
import assert from "node:assert/strict";
import {
  Follower,
  type FollowerEffect,
  type FollowerEvent,
  type Looked,
} from "../../../mod/docker/follower.ts";
import { knownContainer } from "./known.ts";
import { seededRandom } from "../properties.ts";

const idOf = (n: number) => n.toString(16).padStart(64, "0");
const LABELS = new Map([["meshnet.attach", "true"]]);
const NONE = new Map<string, string>();

interface Container {
  pid: number | undefined;
  readonly labels: ReadonlyMap<string, string>;
}

/** An engine with containers; what it is asked is answered when the test lets it. */
class FakeEngine {
  readonly containers = new Map<string, Container>();
  readonly follower: Follower;
  readonly attached = new Set<string>();
  /** Endpoints that the list names. */
  readonly endpoints = new Map<string, readonly string[]>();
  readonly asked: (FollowerEffect & { answer?: FollowerEvent })[] = [];
  readonly changed: string[] = [];
  synced = 0;
  connected = false;

  /** `early`: what is answered is what held when it was asked; otherwise what holds when it is answered. */
  constructor(readonly early = false) {
    this.follower = new Follower((id) => this.attached.has(id), {
      isDriver: (driver) => driver === "meshnet",
      isEndpoint: (endpoint) => endpoint.startsWith("ours"),
    });
  }

  post(event: FollowerEvent): void {
    for (const effect of this.follower.step(event)) {
      if (effect.kind === "changed") this.#noted(effect.id);
      else if (effect.kind === "synced") this.#settled();
      else this.asked.push(this.early ? { ...effect, answer: this.#answerTo(effect)! } : effect);
    }
  }

  /** What has gone is forgotten. */
  #noted(id: string): void {
    this.changed.push(id);
    if (this.follower.isSynced && this.follower.get(id) === undefined) this.attached.delete(id);
  }

  /** Somebody attaches a container by its name. */
  attach(id: string): void {
    const asOf = this.follower.count;
    const looked = this.#answerTo({ kind: "look", id });
    if (looked?.kind !== "looked" || looked.found === undefined) return;
    this.post({ kind: "resolved", id, found: looked.found, asOf });
    this.attached.add(id);
  }

  /** An attached container that is not known now counts as gone, and is forgotten with its address. */
  #settled(): void {
    this.synced++;
    for (const id of this.attached) {
      if (this.containers.has(id)) {
        assert(this.follower.get(id) !== undefined, `${id} is there and counts as gone`);
      } else this.attached.delete(id);
    }
  }

  connect(): void {
    this.connected = true;
    this.post({ kind: "connected" });
  }

  lose(): void {
    this.connected = false;
    this.asked.length = 0;
    this.post({ kind: "lost" });
  }

  happened(
    id: string,
    action: string,
    labels = this.containers.get(id)?.labels ?? NONE,
    driver?: string,
  ): void {
    if (this.connected) this.post({ kind: "event", event: { id, action, labels, driver } });
  }

  /** Answers one question; which, `pick` says. What is said is what holds at that moment. */
  answer(pick = 0): void {
    const [asked] = this.asked.splice(pick, 1);
    const answer = asked && (asked.answer ?? this.#answerTo(asked));
    if (answer !== undefined) this.post(answer);
  }

  #answerTo(asked: FollowerEffect): FollowerEvent | undefined {
    if (asked.kind === "list") {
      const containers = [...this.containers].map(([id, { labels, pid }]) => ({
        ...{ id, name: "n", labels, mayRun: pid !== undefined },
        ...{ endpoints: this.endpoints.get(id) ?? [], networks: [] },
      }));
      return { kind: "listed", containers };
    }
    if (asked.kind !== "look") return undefined;
    const { id } = asked;
    const found = this.containers.get(id);
    const process = found?.pid === undefined ? undefined : { pid: found.pid, mark: `m${found.pid}` };
    return { kind: "looked", id, found: found && lookedAt(id, found.labels, process) };
  }

  /** One of the looks is not answered for a while. */
  delay(pick: number): void {
    const asked = this.asked[pick];
    if (asked?.kind === "look") this.post({ kind: "delayed", id: asked.id });
  }

  answerAll(): void {
    while (this.asked.length > 0) this.answer();
  }
}

function lookedAt(id: string, labels: Looked["labels"], process: Looked["process"]): Looked {
  return { id, ...knownContainer({ labels, process }) };
}

function engineWith(containers: Record<number, Container>): FakeEngine {
  const engine = new FakeEngine();
  for (const [n, one] of Object.entries(containers)) engine.containers.set(idOf(Number(n)), one);
  return engine;
}

Deno.test("Follower looks at labelled and attached containers alone, and then knows that others have gone", () => {
  const engine = engineWith({
    1: { pid: 10, labels: LABELS },
    2: { pid: 20, labels: NONE },
    3: { pid: 30, labels: NONE },
    4: { pid: undefined, labels: LABELS },
  });
  engine.attached.add(idOf(3)).add(idOf(9));
  engine.connect();
  engine.answer(); // the list
  assert.deepEqual(engine.asked.map((one) => one.kind === "look" && one.id), [idOf(1), idOf(3)]);
  assert.deepEqual(engine.synced, 0);
  engine.answerAll();
  assert.deepEqual(engine.synced, 1);
  assert.deepEqual(engine.follower.get(idOf(1))?.process, { pid: 10, mark: "m10" });
  assert.deepEqual(engine.follower.get(idOf(4))?.process, undefined);
  assert.deepEqual(engine.follower.get(idOf(2)), undefined);
  assert.deepEqual(engine.follower.get(idOf(9)), undefined);
  assert(engine.follower.isSynced);
});

Deno.test("Follower lets a container that starts while the list is on its way be", () => {
  const engine = new FakeEngine();
  engine.connect();
  const [list] = engine.asked.splice(0, 1); // was made before the container was
  engine.containers.set(idOf(1), { pid: 10, labels: LABELS });
  engine.happened(idOf(1), "start");
  engine.answerAll();
  assert.deepEqual(list?.kind, "list");
  engine.post({ kind: "listed", containers: [] });
  assert.deepEqual(engine.follower.get(idOf(1))?.process?.pid, 10);
});

Deno.test("Follower knows no attached container to be gone while a look at it is under way", () => {
  const engine = engineWith({ 1: { pid: 10, labels: NONE } });
  engine.attached.add(idOf(1));
  engine.connect();
  engine.happened(idOf(1), "start");
  engine.answer(); // the list, before the look
  assert(!engine.follower.isSynced);
  engine.answerAll();
  assert(engine.follower.isSynced);
  assert.deepEqual(engine.follower.get(idOf(1))?.process?.pid, 10);
});

Deno.test("Follower takes what somebody asked for, unless it has learnt of that container since", () => {
  const engine = engineWith({ 1: { pid: 10, labels: LABELS } });
  engine.connect();
  engine.answerAll();
  const asOf = engine.follower.count;
  const found = lookedAt(idOf(1), LABELS, undefined);
  engine.containers.get(idOf(1))!.pid = 11;
  engine.happened(idOf(1), "start");
  engine.answerAll();
  const { changed } = engine;
  const before = changed.length;
  engine.post({ kind: "resolved", id: idOf(1), found, asOf });
  assert.deepEqual(engine.follower.get(idOf(1))?.process?.pid, 11);
  engine.post({ kind: "resolved", id: idOf(1), found, asOf: engine.follower.count });
  assert.deepEqual(engine.follower.get(idOf(1))?.process, undefined);
  assert.deepEqual(changed.length, before);
});

Deno.test("Follower looks again when something happened during a look", () => {
  const engine = engineWith({ 1: { pid: 10, labels: LABELS } });
  engine.connect();
  engine.answerAll();
  engine.containers.get(idOf(1))!.pid = undefined;
  engine.happened(idOf(1), "die");
  engine.happened(idOf(1), "start"); // coalesced
  assert.deepEqual(engine.asked.length, 1);
  engine.answer();
  assert.deepEqual(engine.asked.length, 1);
  engine.containers.get(idOf(1))!.pid = 11;
  engine.answerAll();
  assert.deepEqual(engine.follower.get(idOf(1))?.process?.pid, 11);
});

Deno.test("Follower asks for a new list when an event was lost, and never has many looks under way", () => {
  const engine = engineWith({});
  for (let n = 0; n < 500; n++) engine.containers.set(idOf(n), { pid: n + 1, labels: LABELS });
  engine.connect();
  engine.answer();
  assert.deepEqual(engine.asked.length, 4);
  engine.answerAll();
  engine.containers.delete(idOf(7));
  engine.post({ kind: "missed" });
  engine.post({ kind: "missed" });
  assert.deepEqual(engine.asked, [{ kind: "list" }]);
  assert(!engine.follower.isSynced);
  engine.answerAll();
  assert.deepEqual(engine.follower.get(idOf(7)), undefined);
});

Deno.test("Follower holds no more than its bound, whatever an engine says", () => {
  const engine = new FakeEngine();
  engine.connect();
  engine.answerAll();
  for (let n = 0; n < 30_000; n++) {
    engine.post({
      kind: "event",
      event: { id: idOf(n), action: "start", labels: LABELS, driver: undefined },
    });
  }
  assert(engine.asked.length <= 5, `${engine.asked.length} questions`);
  for (let n = 0; n < 30_000; n++) engine.containers.set(idOf(n), { pid: 1, labels: LABELS });
  engine.answerAll();
  assert([...engine.follower.all()].length <= 10_000);
});

for (let seed = 1; seed <= 40; seed++) {
  Deno.test(`Follower ends up with what the engine has, seed ${seed}`, () => {
    const random = seededRandom(seed);
    const engine = new FakeEngine(seed % 2 === 0);
    let pid = 1;
    let made = 12;
    const ids = Array.from({ length: made }, (_, n) => idOf(n));
    for (let step = 0; step < 400; step++) {
      const slot = random.below(ids.length);
      const id = ids[slot]!;
      const one = engine.containers.get(id);
      switch (random.below(9)) {
        case 0:
          if (one === undefined) {
            const labels = random.below(2) === 0 ? LABELS : NONE;
            engine.containers.set(id, { pid: undefined, labels });
          }
          break;
        case 1:
        case 2:
          if (one !== undefined && one.pid === undefined) {
            one.pid = pid++;
            engine.happened(id, "start");
            if (engine.connected && random.below(2) === 0) engine.attach(id);
          }
          break;
        case 3:
          if (one?.pid !== undefined) {
            one.pid = undefined;
            engine.happened(id, "die");
          }
          break;
        case 4:
          if (one !== undefined && one.pid === undefined) {
            engine.containers.delete(id);
            engine.happened(id, "destroy", one.labels);
            ids[slot] = idOf(made++); // an engine gives no id twice
          }
          break;
        case 5:
          if (random.below(8) === 0) engine.lose();
          else if (!engine.connected) engine.connect();
          break;
        case 6:
          if (random.below(8) === 0) engine.post({ kind: "missed" });
          engine.delay(random.below(4));
          engine.happened(id, "rename"); // told late or twice
          break;
        default:
          if (engine.asked.length > 0) engine.answer(random.below(engine.asked.length));
      }
    }
    if (!engine.connected) engine.connect();
    engine.answerAll();
    assert(engine.follower.isSynced);
    for (const [id, { labels, pid }] of engine.containers) {
      if (labels.size > 0) assert.deepEqual(engine.follower.get(id)?.process?.pid, pid, id);
    }
    for (const [id] of engine.follower.all()) assert(engine.containers.has(id));
  });
}

Deno.test("Follower looks at containers in networks of ours, and at those that join one", () => {
  const engine = engineWith({ 1: { pid: 10, labels: NONE }, 2: { pid: 20, labels: NONE } });
  engine.endpoints.set(idOf(1), ["ours1"]).set(idOf(2), ["theirs"]);
  engine.connect();
  engine.answer(); // the list
  assert.deepEqual(engine.asked.map((one) => one.kind === "look" && one.id), [idOf(1)]);
  engine.answerAll();
  engine.happened(idOf(2), "connect", NONE, "bridge");
  assert.equal(engine.asked.length, 0);
  engine.happened(idOf(2), "connect", NONE, "meshnet");
  assert.deepEqual(engine.asked.map((one) => one.kind === "look" && one.id), [idOf(2)]);
});

Deno.test("Follower looks again at a container that starts while it is looked at for the first time", () => {
  const engine = new FakeEngine(true); // what is asked is answered late, as it was before
  engine.connect();
  engine.answerAll();
  engine.containers.set(idOf(1), { pid: undefined, labels: NONE });
  engine.happened(idOf(1), "connect", NONE, "meshnet");
  engine.containers.get(idOf(1))!.pid = 10;
  engine.happened(idOf(1), "start");
  engine.answerAll();
  assert.equal(engine.follower.get(idOf(1))?.process?.pid, 10);
});

Deno.test("Follower goes on with others while the engine says nothing of those that it works on", () => {
  const engine = new FakeEngine();
  engine.connect();
  engine.answerAll();
  for (let n = 0; n < 100; n++) {
    engine.containers.set(idOf(n), { pid: n + 1, labels: LABELS });
    engine.happened(idOf(n), "start");
  }
  const ids = () => engine.asked.flatMap((one) => one.kind === "look" ? [one.id] : []);
  assert.equal(ids().length, 4);
  for (const id of ids()) engine.post({ kind: "delayed", id });
  assert.equal(ids().length, 8);
  engine.answer(4); // not delayed
  assert.deepEqual(engine.changed, [idOf(4)]);
  for (let i = 0; i < 100; i++) for (const id of ids()) engine.post({ kind: "delayed", id });
  assert.equal(ids().length, 64, "each costs a connection");
  assert(engine.follower.isLooking);
  engine.answerAll();
  assert.equal(engine.changed.length, 100);
  assert(!engine.follower.isLooking);
});

Deno.test("Follower tells of each container when it is looked at, though one of the list is not answered", () => {
  const engine = engineWith({ 1: { pid: 10, labels: LABELS }, 2: { pid: 20, labels: LABELS } });
  engine.attached.add(idOf(3));
  engine.connect();
  engine.answer(); // the list
  engine.post({ kind: "delayed", id: idOf(1) });
  engine.answer(1);
  assert.deepEqual([engine.changed, engine.synced], [[idOf(2)], 0]);
  assert.equal(engine.attached.size, 1, "nobody counts as gone yet");
  engine.answerAll();
  assert.deepEqual([engine.synced, engine.attached.size], [1, 0]);
});
