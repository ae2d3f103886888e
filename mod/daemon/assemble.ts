/** The composition root: opens every part in order. What each is made of lies in parts/. */
import { VERSION } from "../core/version.ts";
import type { Config } from "./config/config.ts";
import type { Ending } from "./ending.ts";
import { openAttachments } from "./parts/open_attachments.ts";
import { openBase } from "./parts/open_base.ts";
import { openContainers } from "./parts/open_containers.ts";
import { openControl } from "./parts/open_control.ts";
import { openDataplane, startDataplane } from "./parts/open_dataplane.ts";
import { openExposed } from "./parts/open_exposed.ts";
import { openFirewall } from "./parts/open_firewall.ts";
import { openIpam } from "./parts/open_ipam.ts";
import { openNames } from "./parts/open_names.ts";
import { openHost } from "./parts/open_host.ts";
import { openNameLeg } from "./parts/open_name_leg.ts";
import { openPaths } from "./parts/open_paths.ts";
import { openPlugin } from "./parts/open_plugin.ts";
import { openProxy } from "./parts/open_proxy.ts";
import { openRouter } from "./parts/open_router.ts";
import { openState } from "./parts/open_state.ts";
import { openTaken, usersHere } from "./parts/open_taken.ts";
import { type Daemon, daemonOf } from "./running.ts";
import { StartWatch } from "./start_watch.ts";

/** Starts everything. Throws before it changes the host when it could not work, or the reason of an abort. */
export async function assemble(
  config: Config,
  { signal, end }: { readonly signal: AbortSignal; readonly end: (how: Ending) => void },
): Promise<Daemon> {
  await using undo = new AsyncDisposableStack();
  const base = openBase(config, signal);
  using start = new StartWatch(base);
  const dataplane = undo.use(openDataplane(base, end)); // first: its worker loads while the rest is found out
  const host = undo.use(await openHost(config, base));
  start.phase("preflight");

  const state = undo.use(await openState(config, base));
  start.phase("state");

  const running = undo.use(await startDataplane(config, { base, dataplane, host, state })); // ends before the store
  start.phase("data plane");

  const { mtu, portProgram } = running;
  const { hooks } = dataplane;
  const firewall = undo.use(openFirewall(config, { base, hooks, host, owner: undo, state }));
  const exposed = undo.use(openExposed({ base, dataplane, firewall, host, owner: undo, state }));
  const nameLeg = undo.use(openNameLeg(config, { base, host, mtu, portProgram }));
  const checkFirewall = () => void firewall.check();
  const attached = undo.use(
    openAttachments(config, { base, checkFirewall, exposed, hooks, host, mtu, nameLeg, portProgram, state }),
  );
  start.phase("attachments");

  const mesh = await openRouter(config, { base, dataplane, end, host, running, state });
  start.phase("router");

  const { names } = undo.use(openNames(config, { attached, base, exposed, mesh, nameLeg, state }));
  const whoIsHere = usersHere(attached);
  const { here } = whoIsHere;
  const { addresses, exposing, ipam, rangeWatch, users } = undo.use(
    openIpam(config, { attached, base, dataplane, exposed, here, host, mesh, names, state }),
  );
  const taken = undo.use(openTaken(config, { base, dataplane, ipam, mesh, state, users, whoIsHere }));
  const paths = openPaths(config, { attached, base, dataplane, mesh, running, state, taken, users });
  const plugin = undo.use(
    await openPlugin(config, { attached, base, host, ipam, mtu, names, nameLeg, state }),
  );
  taken.engine.here = () => plugin.members?.here() ?? [];
  const proxy = undo.use(await openProxy(config, { base, plugin }));
  const { containers } = undo.use(
    openContainers(config, { addresses, attached, base, names, plugin, proxy }),
  );
  start.phase("addresses");

  const { attachments, keeper, restored } = attached;
  const parts = {
    router: mesh.router,
    dataplane: dataplane.handle,
    ...{ addresses, attachments, containers, exposing, ipam, names, proxy, paths },
    ...{ taken: taken.addresses, rangeWatch },
    originOf: mesh.originOf,
    ...{ members: plugin.members, places: plugin.places, lookupProblem: plugin.lookupProblem },
    exposedProblem: () => exposed.problem,
    firewall: () => firewall.check(),
    touched: keeper.touched,
    stateWasLost: state.wasLost,
    formerName: state.identity.formerName,
    history: state.history,
    end,
  };
  undo.use(await openControl(config, { base, ...parts }));
  start.phase("control socket");

  base.logger.info("running", {
    peer: state.identity.name,
    nickname: config.nickname,
    version: VERSION,
    port: config.port,
    mtu,
    adopted: restored.adopted.length,
    restored: restored.restored.length,
    ms: Math.round(base.clock.now()),
  });
  return daemonOf({
    ...{ dataplane: dataplane.handle, faults: base.faults, logger: base.logger, setPeers: mesh.setPeers },
    parts: undo.move(),
  });
}
