/** `meshnet check HOST`: looks at the way to another host, from here and by what the daemon's link with it proves. */
import { pathMtusTo } from "../../../ffi/path_mtu.ts";
import { StreamSocket } from "../../../ffi/stream_socket.ts";
import type { CheckLine, CheckReport } from "../../control/doctor_types.ts";
import { plainReason } from "../../control/status.ts";
import { type Endpoint, type Ip, isIpv4, parseEndpoint, parseIp } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { PeerName } from "../../core/names.ts";
import type { Clock } from "../../core/ports.ts";
import type { PortHolder } from "../../doctor/check_causes.ts";
import { type LeftHost, whatBecameOf } from "../../doctor/left_hosts.ts";
import { type CheckFacts, checkLines } from "../../doctor/check_lines.ts";
import { Intro, type IntroResult } from "../../mesh/connections/intro.ts";
import { parseDialTarget } from "../../mesh/dialing/target.ts";
import type { ConnectionSnapshot } from "../../mesh/snapshot.ts";
import { dial, DialError, lookUp, type Stream } from "../../mesh/tcp/tcp_shell.ts";
import type { DataplaneReport, LinkReport } from "../../overlay/ports/dataplane_types.ts";
import { loadSealer, NO_SEALER } from "../../sys/sealer.ts";
import type { Config } from "../config/config.ts";
import type { PathChannel } from "./path_channel.ts";

/** How long a refusal of a datagram may take, in milliseconds. */
const REFUSAL_MS = 500;
/** How long an introduction may take. */
const INTRO_MS = 5_000;
const LATE = {
  kind: "failed",
  reason: `the header or the rest of an introduction did not come within ${INTRO_MS / 1000} s`,
} as const;
/** What a datagram holds: nothing that a peer would take for something. */
const DATAGRAM = new TextEncoder().encode("meshnet?") as Uint8Array<ArrayBuffer>;

/** What is asked of the data plane, once for each look. */
export type Overlay = Pick<DataplaneReport, "datapath" | "links">;

/** What is looked with. */
export interface CheckParts {
  readonly config: Pick<Config, "host" | "password" | "port">;
  readonly clock: Clock;
  /** What a daemon can say; undefined: none runs. */
  readonly daemon: {
    /** The connection with the host that is called so, or has one of these addresses. */
    readonly known: (word: string, ips: readonly Ip[]) => ConnectionSnapshot | undefined;
    readonly overlay: () => Promise<Overlay>;
    readonly ask: PathChannel["ask"];
    readonly knows: (peer: PeerName) => boolean;
    readonly firewall: () => CheckFacts["firewall"];
    /** That the way to a peer, or to whoever was last at an address, fails and works by turns, if it does. */
    readonly unsteady: (peer: PeerName | undefined, ip: Ip) => string | undefined;
    /** A host that left, if a word means one. */
    readonly left: (word: string) => LeftHost | undefined;
    /** Whether a word means this host. */
    readonly isSelf: (word: string) => boolean;
  } | undefined;
  /** A line to begin with: why the daemon could not be asked, or what became of the host. */
  readonly about?: CheckLine;
}

/** Looks. Throws "usage/bad-option" for what is no host. */
export async function checkHost(word: string, parts: CheckParts): Promise<CheckReport> {
  const { about, config, daemon } = parts;
  if (daemon?.isSelf(word) === true) return itself(word, { address: null, about });
  const called = daemon?.known(word, []);
  const left = called === undefined ? daemon?.left(word) : undefined;
  const target = parseDialTarget(called?.address ?? (left?.ip || word));
  if (!target.ok) {
    throw new MeshnetError("usage/bad-option", `Cannot check ${word}: ${target.reason}`, {
      hint: "Give HOST or HOST:PORT, or the nickname of a peer",
    });
  }
  const port = target.value.port ?? config.port;
  const { host, ip: given } = target.value;
  const found = given === undefined ? await lookUp(host) : [given];
  if (typeof found === "string" || found.length === 0) {
    const why = typeof found === "string" ? found : `the name ${host} has no address`;
    const text = daemon === undefined ? why : `no peer has this nickname, and ${why}`;
    const lines = [...about === undefined ? [] : [about], {
      what: "name",
      state: "bad" as const,
      text,
      fix: null,
    }];
    return { host: word, address: null, peer: null, good: false, lines };
  }
  const ips = found;
  const own = ips.find(isOwnAddress);
  if (own !== undefined && port === config.port) return itself(word, { address: own, about });
  const same = called ?? daemon?.known(word, ips);
  const ip = same === undefined ? ips.find(isIpv4) ?? ips[0]! : ips[0]!;
  // A connection with the host proves nothing of another port of it.
  const isOther = called === undefined && same !== undefined && !isAt(same, port, config.port) &&
    (await knock({ ip, port }, parts)).intro?.ok !== true;
  const known = isOther ? undefined : same;
  return await look(
    { word, host },
    { ip, port: called === undefined || called.outbound ? port : config.port },
    { known, parts: left === undefined ? parts : { ...parts, about: lineOf(left) } },
  );
}

/** Whether a connection leads to that port. One that came from there leads to the port that all hosts have, as far as is
 * known. */
function isAt({ address, outbound }: ConnectionSnapshot, port: number, ours: number): boolean {
  return port === (outbound ? parseEndpoint(address)?.port : ours);
}

/** What is said of a host that left. */
function lineOf(host: LeftHost): CheckLine {
  return { what: "host", state: "unknown", text: whatBecameOf(host), fix: null };
}

/** Whether this host has an address. */
function isOwnAddress(ip: Ip): boolean {
  return Deno.networkInterfaces().some(({ address }) => parseIp(address) === ip);
}

/** What is said of this host itself: nothing lies between. */
function itself(
  host: string,
  { about, address }: { readonly about: CheckLine | undefined; readonly address: Ip | null },
): CheckReport {
  const text = "this is this host itself: there is no way to look at";
  const fix = { on: "this host", command: "meshnet doctor", nft: null, iptables: null };
  const lines = [...about === undefined ? [] : [about], { what: "host", state: "bad" as const, text, fix }];
  return { host, address, peer: null, good: false, lines };
}

async function look(
  { host, word }: { readonly word: string; readonly host: string },
  at: Endpoint,
  { known, parts }: { readonly known: ConnectionSnapshot | undefined; readonly parts: CheckParts },
): Promise<CheckReport> {
  const { config, daemon } = parts;
  const next = { ip: at.ip, port: at.port + 1 };
  const isConnected = known?.link !== undefined;
  const [overlay, tcp, udp, udpNext] = await Promise.all([
    daemon?.overlay(),
    isConnected
      ? { tcp: "connected" as const, reason: "", intro: undefined, nickname: null }
      : knock(at, parts),
    datagram(at),
    datagram(next),
  ]);
  const link = isConnected ? overlay?.links.find((one) => one.link === known.link) : undefined;
  const peer = known?.peer;
  const timed = peer !== undefined && isConnected && daemon?.knows(peer)
    ? await daemon.ask(peer, { to: null, from: null, src: null, dst: null, ip: null })
    : undefined;
  // Tunnels to a host with another port have a port of their own here, which only a link makes.
  const noTunnelPort = at.port === config.port && overlay !== undefined &&
    lacksTunnelPort(overlay.datapath, next.port);
  const works = link?.overlays.some(({ overlay, works }) => overlay === "fastdp" && works) === true;
  const isTunnelMissed = (noTunnelPort || known !== undefined) && !works;
  const facts: CheckFacts = {
    ...{ host: known?.nickname || host, address: at.ip, local: udp.local, port: at.port },
    ...{ tcp: tcp.tcp, tcpReason: tcp.reason, intro: tcp.intro, udp: udp.met, udpNext: udpNext.met },
    link: isConnected ? linkFacts(known, link) : undefined,
    unsteady: daemon?.unsteady(peer, at.ip),
    info: known === undefined ? "" : plainReason(known.info),
    noFastdp: overlay?.datapath.noFastdp ?? null,
    noTunnelPort,
    password: (config.password?.length ?? 0) > 0,
    mtu: overlay?.datapath.mtu,
    routeMtu: pathMtusTo(at).interfaceMtu,
    clock: timed && { aheadMs: timed.clockMs, ms: timed.ms },
    firewall: daemon?.firewall(),
    tunnelHolder: isTunnelMissed ? await holderOf(next) : undefined,
  };
  const lines = [...parts.about === undefined ? [] : [parts.about], ...checkLines(facts)];
  return {
    host: word,
    address: at.ip,
    peer: known?.nickname ?? tcp.nickname,
    good: !lines.some(({ state }) => state === "bad"),
    lines,
  };
}

/** Whether this host is to have a port for tunnels, and has none at this UDP port. */
function lacksTunnelPort({ ports, tunnels }: Overlay["datapath"], udpPort: number): boolean {
  return tunnels && !ports.some((port) => port.kind === "vxlan" && port.udpPort === udpPort);
}

function linkFacts(connection: ConnectionSnapshot, link: LinkReport | undefined): CheckFacts["link"] {
  const overlay = (name: string) => {
    const found = link?.overlays.find((one) => one.overlay === name);
    return found && { works: found.works, why: found.why ?? "" };
  };
  return {
    sleeve: overlay("sleeve"),
    fastdp: overlay("fastdp"),
    sealed: connection.encrypted,
    mtu: connection.mtu,
    silentMs: link?.silentMs,
  };
}

/** Who has the port of this host's tunnels. */
async function holderOf(next: Endpoint): Promise<PortHolder | undefined> {
  const { portHolder } = await import("../host/port_owner.ts");
  return portHolder(next.port, isIpv4(next.ip) ? "ipv4" : "ipv6", undefined, ["udp"]);
}

interface Knock {
  readonly tcp: Exclude<CheckFacts["tcp"], "connected">;
  readonly reason: string;
  readonly intro: CheckFacts["intro"];
  readonly nickname: string | null;
}

/** Connects, hears the other end's introduction, and leaves before it has said its own name: it becomes no peer. */
async function knock(at: Endpoint, { clock, config }: CheckParts): Promise<Knock> {
  const end = new AbortController();
  let stream: Stream;
  try {
    stream = await dial(at, { from: config.host, signal: end.signal });
  } catch (error) {
    const failure = error instanceof DialError ? error.failure : "other";
    const tcp = failure === "refused" || failure === "timeout" ? failure : "other";
    return { tcp, reason: messageOf(error), intro: undefined, nickname: null };
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, INTRO_MS));
  try {
    const result = await Promise.race([introduce(stream, { clock, config }), late]) ?? LATE;
    const isDone = result.kind === "done";
    const intro = {
      ok: isDone,
      tunnels: isDone && result.remote.overlays?.includes("fastdp") === true,
      reason: result.kind === "failed" ? result.reason : "",
    };
    return { tcp: "open", reason: "", intro, nickname: isDone ? result.remote.nickname : null };
  } finally {
    clearTimeout(timer);
    stream.close();
  }
}

async function introduce(
  stream: Stream,
  { clock, config }: { readonly clock: Clock; readonly config: CheckParts["config"] },
): Promise<Exclude<IntroResult, { kind: "more" }>> {
  const sealer = config.password === undefined ? NO_SEALER : await loadSealer();
  const intro = new Intro({
    self: {
      name: "00:00:00:00:00:00" as PeerName,
      nickname: "check",
      uid: 1n as never,
      shortId: undefined,
      overlays: undefined,
    },
    connId: 0n,
    outbid: () => undefined, // so that what we say of ourselves waits, and is never sent
    ...{ minVersion: 2, maxVersion: 2, password: config.password, outbound: true, sealer },
    privateKey: crypto.getRandomValues(new Uint8Array(32)),
    trustRemote: false,
  }, clock.now());
  const { promise, resolve } = Promise.withResolvers<Exclude<IntroResult, { kind: "more" }>>();
  let over = false;
  const settle = (result: Exclude<IntroResult, { kind: "more" }>) => {
    over = true;
    resolve(result);
  };
  const write = (all: readonly Uint8Array[]) =>
    all.reduce((before, bytes) => before.then(() => stream.write(bytes)), Promise.resolve());
  stream.start({
    data(bytes) {
      if (over) return;
      const result = intro.receive(bytes, clock.now());
      if (result.kind === "more") void write(result.write).catch(() => {});
      else settle(result);
    },
    end: () => void (over || settle(intro.closed())),
  });
  void write(intro.start()).catch(() => {});
  return await promise;
}

/** What a datagram met, and the address of this host from which it went. */
interface Probe {
  readonly met: CheckFacts["udp"];
  readonly local: string | null;
}

/** Sends one datagram; whether the other system says that nobody wants it. */
async function datagram(at: Endpoint): Promise<Probe> {
  try {
    using socket = StreamSocket.connect("udp", at);
    const local = socket.local?.ip ?? null;
    if (socket.write(DATAGRAM) === -2) return { met: "unreachable", local };
    await new Promise((resolve) => setTimeout(resolve, REFUSAL_MS));
    const read = socket.read(new Uint8Array(new ArrayBuffer(128)));
    if (read !== -2) return { met: "silent", local };
    return { met: /refused/i.test(socket.failure ?? "") ? "refused" : "unreachable", local };
  } catch {
    return { met: "unreachable", local: null };
  }
}
