/** The name server's thread without the rest of the daemon: `dns_program.ts ADDRESS PORT NAMES [SERVER]`. */
import { Wakeup } from "../../ffi/poll.ts";
import { type Ip, parseIp } from "../../mod/core/addr.ts";
import type { PeerName } from "../../mod/core/names.ts";
import { startNameService } from "../../mod/daemon/threads/names_client.ts";
import { benchAddress, benchName, DOMAIN } from "./dns_names.ts";

const [address, port, count, server] = Deno.args;
const self = "02:00:00:00:00:01" as PeerName;
const toServer = { ip: server as Ip, port: Number(port) };
const service = startNameService({
  config: {
    ...{ self, domain: `${DOMAIN}.`, ttl: undefined, order: "balanced", plainCap: undefined },
    stubs: server === undefined ? [] : [{ domain: "example.com.", servers: [toServer] }],
    ...{ resolvConf: "/dev/null", patienceMs: 5_000 },
  },
  entries: () =>
    Array.from({ length: Number(count) }, (_, i) => ({
      ...{
        container: `c${i}`,
        origin: self,
        hostname: `${benchName(i)}.`,
        type: 1,
        addr: benchAddress(i),
        rdata: "",
      },
      ...{ version: 0, tombstone: 0, unhealthy: false },
    })),
  createWakeup: () => Wakeup.create(),
  log: { debug() {}, info() {}, warn: console.error, error: console.error },
  guard: (_, work) => work,
  onHealth: () => {},
  onListeners: (listeners) => console.log(JSON.stringify(listeners)),
});
service.listen([{ ip: parseIp(address!)!, port: Number(port) }]);
