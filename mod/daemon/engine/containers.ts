/** Containers of an engine: attached by name or by label, and again whenever they are started. */
import {
  type Attachments,
  CONTAINER_PREFIX,
  findTarget,
  isContainerName,
  parseAttachTarget,
  type Reconciled,
} from "../../attach/mod.ts";
import type { AttachAnswer, AttachRequest, EngineReport, Problem } from "../../control/api_types.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Faults } from "../../core/faults.ts";
import type { Logger } from "../../core/ports.ts";
import type { EngineFollower } from "../../docker/follower_shell.ts";
import { type ContainerTrouble, troubleOf } from "../../docker/members.ts";
import { readLabels } from "../../docker/labels.ts";
import type { Addresses } from "../addresses/addresses.ts";

/** Shortest begin of an id by which what is attached is found. */
const SHORT_ID = 4;

/** What could not be attached by its label is tried again after this long, in milliseconds; each time it waits twice as
 * long. */
const TRY_AGAIN_MS = { least: 30_000, most: 600_000 } as const;

/** A container that could not be attached by its label. */
interface Refused extends Problem {
  /** How long it waits until it is tried again. */
  readonly waitMs: number;
}

/** What is told by whoever follows the engine. */
export interface EngineListener {
  /** Whether a container hangs on the network, or waits to. */
  readonly isAttached: (id: string) => boolean;
  /** Something may have changed about a container. */
  readonly changed: (id: string) => void;
  /** All containers are known. */
  readonly synced: () => void;
}

/** What it is made of. */
export interface ContainersParts {
  readonly attachments: Pick<Attachments, "adapters" | "list" | "reconcile" | "targets">;
  readonly addresses: Pick<Addresses, "attach" | "detach">;
  /** Makes what follows the engine, which is told of here; undefined: no engine is worked with. */
  readonly follow:
    | ((listener: EngineListener) => Pick<EngineFollower, "all" | "get" | "resolve" | "standing" | "state">)
    | undefined;
  /** Where the engine is. */
  readonly socket: string;
  /** Is told of each look at attachments. */
  readonly looked: (found: Reconciled) => void;
  /** Whether a container is in one of our networks without being attached. */
  readonly isOurs: (id: string) => boolean;
  /** Takes whether the engine says that something attached answers. */
  readonly engineSays: (target: string, trouble: ContainerTrouble | undefined) => void;
  /** Called after something was attached. */
  readonly touched: () => void;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
  readonly faults: Pick<Faults, "later">;
  readonly logger: Logger;
}

/** Attaches and detaches what people name, containers among it. Disposing it gives up what waits for an address. */
export class Containers implements Disposable {
  readonly #parts: ContainersParts;
  readonly #engine: ReturnType<NonNullable<ContainersParts["follow"]>> | undefined;
  /** Containers that are being attached: by label, with what gives that up; or by a request. */
  readonly #underWay = new Map<string, AbortController | undefined>();
  /** Running containers that could not be attached by their labels. */
  readonly #refused = new Map<string, Refused>();
  #over = false;

  constructor(parts: ContainersParts) {
    this.#parts = parts;
    this.#engine = parts.follow?.({
      isAttached: (id) => this.#underWay.has(id) || this.#isAttached(id),
      changed: (id) => this.#changed(id),
      synced: () => this.#synced(),
    });
  }

  /** Gives up what waits. */
  [Symbol.dispose](): void {
    this.#over = true;
    for (const waiting of this.#underWay.values()) waiting?.abort();
  }

  /** Where the container with that id stands. */
  standing(id: string): ReturnType<EngineFollower["standing"]> {
    return this.#engine?.standing(id) ?? { kind: "unknown", name: undefined };
  }

  /** The engine, for reports; null where none is worked with. */
  report(): Omit<EngineReport, "containers"> | null {
    const state = this.#engine?.state;
    if (state === undefined) return null;
    const { socket } = this.#parts;
    return typeof state === "string"
      ? { socket, version: null, api: null, info: state }
      : { socket, ...state, info: "" };
  }

  /** Why the engine says that a target does not answer; undefined: it does not say so, or the target is no container. */
  troubleOf(target: string): ContainerTrouble | undefined {
    const id = target.startsWith(CONTAINER_PREFIX) ? target.slice(CONTAINER_PREFIX.length) : "";
    const known = this.#engine?.get(id);
    return known?.process === undefined ? undefined : troubleOf(known);
  }

  /** Containers that should be attached by their labels, and are not. */
  problems(): readonly Problem[] {
    return [...this.#refused.values()].map(({ hint, message }) => ({ hint, message }));
  }

  /** Attaches a target; a container also by its name, or by the begin of its id. */
  async attach(request: AttachRequest, gone: () => AbortSignal): Promise<AttachAnswer> {
    const target = await this.#targetOf(request.target, `attach ${request.target}`);
    const id = target.slice(CONTAINER_PREFIX.length);
    const mine = target.startsWith(CONTAINER_PREFIX) && !this.#underWay.has(id);
    if (mine) this.#underWay.set(id, undefined);
    try {
      const answer = await this.#parts.addresses.attach({ ...request, target }, gone);
      this.#refused.delete(id);
      this.#tellHealth(id);
      return answer;
    } finally {
      if (mine) this.#underWay.delete(id);
    }
  }

  /** Detaches a target, called as for attach(); also a container that the engine does not have any more. */
  async detach(request: Pick<AttachRequest, "addresses" | "target">): Promise<AttachAnswer> {
    const { begun, named } = this.#attachedAs(request.target);
    const target = named ??
      await this.#targetOf(request.target, `detach ${request.target}`).catch((thrown) => {
        if (begun === undefined) throw thrown;
        return begun;
      });
    return await this.#parts.addresses.detach({ ...request, target });
  }

  /** A target as it is remembered. */
  async #targetOf(text: string, action: string): Promise<string> {
    if (!isContainerName(text)) return text;
    const word = text.replace(CONTAINER_PREFIX, "");
    const { probe } = this.#parts.attachments.adapters;
    if (this.#engine === undefined) {
      throw new MeshnetError(
        "engine/unreachable",
        `Cannot ${action}: this host works with no container engine`,
        {
          hint: namespaceCalled(word, probe) ??
            `Start it with --docker auto; or name a namespace: netns:${word}, pid:N, or its path`,
        },
      );
    }
    const id = await this.#engine.resolve(word);
    if (id !== undefined) return CONTAINER_PREFIX + id;
    throw new MeshnetError("attach/bad-target", `Cannot ${action}: the engine has no such container`, {
      hint: namespaceCalled(word, probe) ??
        `\`docker ps\` lists containers; a namespace of \`ip netns list\` is netns:${word}`,
    });
  }

  /** The container that is attached and has that name, and the one whose id begins so; undefined: none, or more than
   * one. An engine takes a name before the begin of an id, so `begun` is for one that the engine does not have. */
  #attachedAs(text: string): Readonly<Partial<Record<"named" | "begun", string | undefined>>> {
    if (!isContainerName(text)) return {};
    const word = text.replace(CONTAINER_PREFIX, "");
    const all = this.#parts.attachments.targets().filter((target) => target.startsWith(CONTAINER_PREFIX));
    const idOf = (target: string) => target.slice(CONTAINER_PREFIX.length);
    const only = (found: readonly string[]) => found.length === 1 ? found[0] : undefined;
    return {
      named: only(
        all.filter((target) => idOf(target) === word || this.#engine?.get(idOf(target))?.name === word),
      ),
      begun: only(all.filter((target) => word.length >= SHORT_ID && idOf(target).startsWith(word))),
    };
  }

  #isAttached(id: string): boolean {
    return this.#parts.attachments.targets().includes(CONTAINER_PREFIX + id);
  }

  #changed(id: string): void {
    this.#refused.delete(id);
    if (this.standing(id).kind !== "running") this.#underWay.get(id)?.abort();
    if (this.#isAttached(id)) {
      this.#reconcile([CONTAINER_PREFIX + id]);
      this.#tellHealth(id);
    } else this.#attachByLabel(id);
  }

  #tellHealth(id: string): void {
    const known = this.#engine?.get(id);
    if (known !== undefined && known.process !== undefined) {
      this.#parts.engineSays(CONTAINER_PREFIX + id, troubleOf(known));
    }
  }

  #synced(): void {
    const { attachments } = this.#parts;
    this.#refused.clear();
    for (const [id, waiting] of this.#underWay) if (this.standing(id).kind !== "running") waiting?.abort();
    this.#reconcile(attachments.targets().filter((target) => target.startsWith(CONTAINER_PREFIX)));
    for (const [id] of this.#engine?.all() ?? []) {
      if (this.#isAttached(id)) this.#tellHealth(id);
      else this.#attachByLabel(id);
    }
  }

  #reconcile(targets: readonly string[]): void {
    const { attachments, looked, touched } = this.#parts;
    looked(attachments.reconcile({ hostEnds: [], guests: [], targets }));
    touched();
  }

  /** `waitMs`: after how long it is tried again if it is refused. */
  #attachByLabel(id: string, waitMs: number = TRY_AGAIN_MS.least): void {
    const known = this.#engine?.get(id);
    if (known === undefined || this.#underWay.has(id) || this.standing(id).kind !== "running") return;
    const { name } = known;
    const wish = readLabels(known.labels, this.#parts.isOurs(id));
    switch (wish.kind) {
      case "nothing":
        return;
      case "refused": {
        const { hint, label, value } = wish;
        const message = `${name} is not attached: its label ${label} is ${JSON.stringify(value)}`;
        this.#refused.set(id, { message, hint, waitMs });
        return this.#parts.logger.warn("label-not-usable", { container: name, label, value, hint });
      }
      case "attach": {
        const waiting = new AbortController();
        this.#underWay.set(id, waiting);
        const work = this.#attachNow(id, { ...wish, name, waiting, waitMs });
        this.#parts.faults.later("attach a container by its label", work);
      }
    }
  }

  async #attachNow(id: string, { addresses, health, name, names, waiting, waitMs }: {
    readonly name: string;
    readonly health: string | undefined;
    readonly addresses: readonly string[];
    readonly names: readonly string[];
    readonly waiting: AbortController;
    readonly waitMs: number;
  }): Promise<void> {
    const { addresses: network, logger, touched } = this.#parts;
    const wishes = { addresses, names, force: false, noWait: false, timeoutMs: Infinity };
    const checked = health === undefined ? {} : { health };
    const request = { ...wishes, ...checked, target: CONTAINER_PREFIX + id };
    try {
      const { warnings } = await network.attach(request, () => waiting.signal);
      this.#refused.delete(id);
      this.#tellHealth(id);
      for (const reason of warnings) logger.warn("attach-warning", { container: name, reason });
      touched();
    } catch (thrown) {
      const hint = thrown instanceof MeshnetError ? thrown.hint : undefined;
      const fields = { container: name, reason: messageOf(thrown), hint };
      if (!waiting.signal.aborted) {
        logger.warn("container-not-attached", fields);
        this.#tryAgain(id, {
          message: `${name} is not attached: ${fields.reason}`,
          hint: hint ?? null,
          waitMs,
        }, thrown);
      }
    }
    this.#underWay.delete(id);
    if (waiting.signal.aborted && !this.#over) this.#changed(id); // it was started again meanwhile
  }

  /** What somebody uses today may be free tomorrow. A label that is wrong stays so until the container is another. */
  #tryAgain(id: string, refused: Refused, thrown: unknown): void {
    this.#refused.set(id, refused);
    if (thrown instanceof MeshnetError && thrown.code.startsWith("usage/")) return;
    const { waitMs } = refused;
    this.#parts.later(waitMs, () => {
      if (this.#over || this.#refused.get(id) !== refused) return;
      if (this.#isAttached(id)) this.#refused.delete(id);
      else this.#attachByLabel(id, Math.min(2 * waitMs, TRY_AGAIN_MS.most));
    });
  }
}

/** What is meant most probably where no container has a name: a namespace that has it. */
function namespaceCalled(word: string, probe: Attachments["adapters"]["probe"]): string | undefined {
  const target = `netns:${word}`;
  try {
    const found = findTarget(parseAttachTarget(target), probe);
    return found && `There is a namespace of that name: ${target}`;
  } catch { // it is none that could be attached
    return undefined;
  }
}
