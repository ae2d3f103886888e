/** One probe by a connection: over TCP alone, or with a question for a page. */
import { formatEndpoint } from "../../core/addr.ts";
import type { Health } from "./health.ts";
import type { HealthCheck, ProbedTarget } from "./health_check.ts";
import type { ConnectionPort, Handlers, Sockets } from "./socket_ports.ts";

/** A probe under way; disposing it ends it, and nothing more is heard of it. */
export type Exam = Disposable;

/** The status line is in the first octets: `HTTP/1.1 200`. */
const STATUS = /^HTTP\/1\.[01] ([1-5][0-9][0-9])/;
const STATUS_OCTETS = 12;

/** Begins to connect. Throws where that cannot work. `ended` is called later, once. */
export function examine(
  { handlers, sockets }: { readonly handlers: Handlers; readonly sockets: Pick<Sockets, "connectIn"> },
  { ip, netns }: Pick<ProbedTarget, "ip" | "netns">,
  check: HealthCheck & { readonly kind: "tcp" | "http" },
  ended: (health: Health) => void,
): Exam {
  using undo = new DisposableStack();
  const socket = undo.use(sockets.connectIn(netns, { ip, port: check.port }));
  handlers.watch(socket.fd, () => {
    const request = check.kind === "tcp" ? "" : requestFor(socket, check.path);
    if (socket.write(new TextEncoder().encode(request)) !== request.length) return ended(failed(socket));
    if (check.kind === "tcp") return ended({ healthy: true });
    handlers.forget(socket.fd);
    readStatus(socket, handlers, ended);
  }, true);
  undo.move(); // what is watched is closed by who ends the probe
  return {
    [Symbol.dispose]() {
      handlers.forget(socket.fd);
      socket[Symbol.dispose]();
    },
  };
}

function readStatus(socket: ConnectionPort, handlers: Handlers, ended: (health: Health) => void): void {
  const buffer = new Uint8Array(1_024);
  let head = "";
  handlers.watch(socket.fd, () => {
    const count = socket.read(buffer);
    if (count === -1) return;
    if (count === -2) return ended(failed(socket));
    head += String.fromCharCode(...buffer.subarray(0, count));
    if (count > 0 && head.length < STATUS_OCTETS) return;
    const status = Number(STATUS.exec(head)?.[1] ?? 0);
    const isGood = status >= 200 && status < 400;
    const reason = status === 0 ? "no HTTP" : `HTTP status ${status}`;
    ended(isGood ? { healthy: true } : { healthy: false, reason });
  });
}

function failed({ failure, remote }: ConnectionPort): Health {
  const why = failure === undefined ? "" : `: ${failure}`;
  return { healthy: false, reason: `no connection to ${formatEndpoint(remote)}${why}` };
}

function requestFor({ remote: { ip, port } }: ConnectionPort, path: string): string {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  return `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: meshnet\r\nConnection: close\r\n\r\n`;
}
