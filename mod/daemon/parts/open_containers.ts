/** Containers of an engine, on top of attachments and their addresses. */
import { SocketEngine, whyUnreachable } from "../../docker/engine_shell.ts";
import { EngineFollower } from "../../docker/follower_shell.ts";
import { untilReachable } from "../../docker/socket_wait_shell.ts";
import { Timers } from "../../sys/clock.ts";
import { ProcNamespaces } from "../../sys/namespaces.ts";
import type { Addresses } from "../addresses/addresses.ts";
import type { Config } from "../config/config.ts";
import type { Names } from "../names/names.ts";
import { Containers, type EngineListener } from "../engine/containers.ts";
import { EngineLeftovers } from "../engine/engine_leftovers.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { PluginPart } from "./open_plugin.ts";
import type { ProxyPart } from "./open_proxy.ts";

/** What can be attached, containers among it. Disposing it leaves the engine; interfaces stay. */
export interface ContainersPart extends Disposable {
  readonly containers: Containers;
}

/** Begins to follow the engine, if one is to be worked with. Waits for nobody. */
export function openContainers(
  { docker }: Pick<Config, "docker">,
  { addresses, attached, base: { clock, faults, logger, random }, names, plugin, proxy }: {
    readonly addresses: Addresses;
    /** undefined: there are none. */
    readonly names: Pick<Names, "engineSays"> | undefined;
    readonly plugin: Pick<PluginPart, "driver" | "given" | "members" | "network" | "places">;
    readonly proxy: Pick<ProxyPart, "engineFound">;
    readonly attached: AttachmentsPart;
    readonly base: Base;
  },
): ContainersPart {
  using undo = new DisposableStack();
  const { driver, given, members, network, places } = plugin;
  const namespaces = new ProcNamespaces();
  let follower: EngineFollower | undefined;
  const socket = docker ?? "";
  const leftovers = given && undo.use(
    new EngineLeftovers({
      addresses: {
        held: () => given.held().filter(({ ip }) => members?.isKept(ip) !== true),
        release: (ip) => given.release(ip),
      },
      ...{ endpoints: attached.endpoints, faults, logger },
      use: async () => await follower?.networkUse(),
    }),
  );
  const follow = (listener: EngineListener) =>
    follower = undo.use(
      new EngineFollower({
        ...{ socket, clock, faults, logger, random },
        isAttached: (id) => members?.has(id) === true || listener.isAttached(id),
        ours: {
          isDriver: (name) => name === driver,
          isEndpoint: (endpoint) => members?.isOurs(endpoint) === true,
        },
        found: async () => await places?.look(),
        changed(id) {
          members?.changed(id);
          listener.changed(id);
        },
        synced() {
          members?.synced();
          places?.mendAll();
          listener.synced();
          leftovers?.lookLater();
          proxy.engineFound();
          if (network === undefined || follower === undefined) return;
          faults.later("make a network of the engine", follower.ensureNetwork(network));
        },
        open: () => new SocketEngine(socket),
        untilReachable: (signal, absent) =>
          untilReachable(socket, {
            ...{ signal, faults, tryIt: () => whyUnreachable(socket) },
            absent(reason) {
              places?.settle();
              absent(reason);
            },
          }),
        processMark: (pid) => namespaces.processMark(pid),
      }),
    );
  const { attachments, containers: hook, keeper, onLooked } = attached;
  const timers = undo.use(new Timers(faults));
  const containers = undo.use(
    new Containers({
      ...{ addresses, attachments, faults, logger, socket },
      follow: docker === undefined ? undefined : follow,
      isOurs: (id) => members?.has(id) === true,
      engineSays: (target, trouble) => names?.engineSays(target, trouble),
      looked: (found) => onLooked.call(found),
      touched: keeper.touched,
      later: (ms, work) => timers.later("attach a container by its label again", ms, work),
    }),
  );
  hook.standing = (id) => containers.standing(id);
  if (members !== undefined) members.engine = follower;
  if (places !== undefined && follower !== undefined) {
    const engine = follower;
    places.engine = {
      places: async () => await engine.places(driver!),
      namespaceOf: (container, endpoint) =>
        engine.standing(container).kind === "running" ? members?.namespaceOf(container, endpoint) : undefined,
      changed: (container) => members?.changed(container),
    };
  }
  follower?.start();
  const held = undo.move();
  return { containers, [Symbol.dispose]: () => held[Symbol.dispose]() };
}
