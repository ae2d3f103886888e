/** Creates containers for clients of the proxy, and puts them on the mesh before anybody can start them. */
import { formatCidr } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import { GIVEN_OPTION } from "../plugin_calls.ts";
import { fieldsOf, networkRequest, type WantedNetwork } from "../engine_api.ts";
import { reasonIn } from "../engine_shell.ts";
import { connectRequest, type CreateOptions, planCreate } from "./create_request.ts";
import type { EngineAnswer, EngineCalls } from "./engine_calls_shell.ts";
import { decodeExact, encodeExact, textField } from "./exact_json.ts";
import type { RequestHead } from "./http_head.ts";
import { networkName, type NetworkPlace } from "./places.ts";

/** How containers get onto the mesh. */
export interface CreatorParts {
  readonly options: CreateOptions;
  /** The network of the engine that all share. */
  readonly common: WantedNetwork;
  /** Whether a network of the engine is one of the mesh. */
  readonly isOurs: (network: string) => boolean;
  readonly logger: Logger;
}

/** What answers a request to create a container. */
export type Creator = (head: RequestHead, body: Uint8Array<ArrayBuffer>) => Promise<EngineAnswer>;

/** Creates containers through an engine. */
export function creator({ common, logger, options }: CreatorParts, engine: EngineCalls): Creator {
  /** Networks that are being looked for or made. */
  const making = new Map<string, Promise<EngineAnswer>>();

  /** Makes a network of the engine, unless it is there. An engine takes a container for one that is not, and complains when
   * the container starts. */
  async function ensure(network: WantedNetwork): Promise<EngineAnswer> {
    const found = await engine.ask({
      method: "GET",
      target: `/networks/${encodeURIComponent(network.name)}`,
    });
    if (found.status !== 404) return found;
    const made = await engine.post("/networks/create", subnetRequest(network));
    return made.status === 409 ? { ...made, status: 200 } : made; // another one has made it meanwhile
  }

  async function ensureOnce(network: WantedNetwork): Promise<EngineAnswer> {
    const running = making.get(network.name) ?? ensure(network);
    making.set(network.name, running);
    try {
      return await running;
    } finally {
      making.delete(network.name);
    }
  }

  function networkOf({ subnet }: NetworkPlace): WantedNetwork {
    return subnet === undefined
      ? common
      : { ...common, name: networkName(subnet), subnet: formatCidr(subnet) };
  }

  /** Why a container is not on all of its networks; undefined: it is. */
  async function put(
    container: string,
    places: readonly NetworkPlace[],
    ensured: readonly Promise<EngineAnswer>[],
  ): Promise<EngineAnswer | undefined> {
    for (const [i, place] of places.entries()) {
      const network = await ensured[i]!;
      if (network.status >= 300) return network;
      const path = `/networks/${encodeURIComponent(networkOf(place).name)}/connect`;
      const answer = await engine.post(path, connectRequest(container, place));
      if (answer.status >= 300) return answer;
    }
    return undefined;
  }

  return async (head, body) => {
    const read = decodeExact(body);
    const name = head.query.get("name")?.replace(/^\//, "") ?? "";
    let plan: ReturnType<typeof planCreate>;
    try {
      plan = planCreate(read.ok ? read.value : undefined, { name, options });
    } catch (thrown) {
      if (!(thrown instanceof MeshnetError)) throw thrown;
      return refusal(400, thrown.hint === undefined ? thrown.message : `${thrown.message} (${thrown.hint})`);
    }
    if (!plan.ok) return refusal(400, plan.reason);
    const sent = plan.value?.body === undefined ? body : encodeExact(plan.value.body);
    const places = plan.value?.places ?? [];
    const ensured = places.map((place) => ensureOnce(networkOf(place)).catch(broken));
    const [created] = await Promise.all([engine.ask({ ...head, body: sent }), ...ensured]);
    const answer = created.status === 201 ? decodeExact(created.body) : undefined;
    const id = answer?.ok ? textField(fieldsOf(answer.value), "Id") : "";
    if (id === "") return created;
    const failed = await put(id, places, ensured).catch(broken);
    if (failed !== undefined) {
      await engine.ask({ method: "DELETE", target: `/containers/${id}?force=1&v=1` }).catch((thrown) =>
        logger.warn("container not removed", { container: id, reason: messageOf(thrown) })
      );
      const reason = reasonOf(failed);
      logger.warn("container not created", { container: name === "" ? id.slice(0, 12) : name, reason });
      const status = failed.status === 404 ? 500 : failed.status; // 404 would say that there is no such image
      return refusal(status, `Cannot put the container on the mesh: ${reason}`);
    }
    return created;
  };
}

/** Makes a network whose addresses may all be given by hand. */
function subnetRequest(network: WantedNetwork): unknown {
  const request = fieldsOf(networkRequest(network));
  const Options = { [GIVEN_OPTION]: "true" };
  return { ...request, IPAM: { ...fieldsOf(request["IPAM"]), Options } };
}

function refusal(status: number, message: string): EngineAnswer {
  return { status, headers: [["Content-Type", "application/json"]], body: encodeExact({ message }) };
}

/** What a call that breaks off amounts to. */
function broken(thrown: unknown): EngineAnswer {
  return refusal(502, messageOf(thrown));
}

function reasonOf({ body, status }: EngineAnswer): string {
  return reasonIn(new TextDecoder().decode(body)) ?? `its answer was ${status}`;
}
