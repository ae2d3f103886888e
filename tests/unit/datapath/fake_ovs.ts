/** A kernel with Open vSwitch behind netlink: request bytes in, reply bytes out. */
import assert from "node:assert/strict";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { LogFields, Logger, NetlinkSocket } from "../../../mod/core/ports.ts";
import type { NoticeSocket, OvsAdapters, UpcallSocket } from "../../../mod/overlay/ports/datapath_port.ts";
import { splitMessages } from "../../../mod/wire/netlink/netlink.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { openOvs, OVS_CMD } from "../../../mod/wire/netlink/ovs.ts";
import {
  attributesOf,
  FakeNotices,
  fakeSocket,
  linkMessage,
  refusal,
  textOf,
  u32Of,
  u32sOf,
  viewOf,
} from "../kernel_messages.ts";

/** Port id of the socket for misses. */
export const UPCALL_PID = 4711;
/** Index of the datapath's interface, and what its messages carry. */
export const DATAPATH_INDEX = 5;

const FAMILIES = { ovs_datapath: 26, ovs_vport: 27, ovs_flow: 28, ovs_packet: 29, ovs_meter: 30 } as const;
const GROUPS: Readonly<Record<string, number>> = { ovs_datapath: 3, ovs_vport: 4 };

/** A port as the fake keeps it. */
export interface FakePort {
  readonly port: number;
  readonly type: number;
  readonly name: string;
  readonly udpPort?: number | undefined;
  pid: number;
}

/** A message that was sent without waiting for an answer. */
export interface Sent {
  readonly family: keyof typeof FAMILIES;
  readonly command: number;
  readonly bytes: Uint8Array;
}

/** The kernel. Change its fields to arrange a case, read them to see what was done. */
export class FakeOvs implements OvsAdapters {
  loaded = true;
  /** Whether asking for an interface named openvswitch loads the module. */
  autoload = false;
  /** Whether it knows dispatch by CPU. */
  perCpu = true;
  /** Whether it knows meters. */
  hasMeters = true;
  /** Ids of meters that were made. */
  readonly meters: number[] = [];
  datapath: { name: string; features: number; pids: readonly number[] } | undefined;
  /** Names of interfaces that are no datapaths. */
  readonly interfaces = new Set<string>();
  readonly ports = new Map<number, FakePort>();
  link = { mtu: 65535, up: false };
  /** The TAP's interface, if there is one. */
  tap: { readonly name: string; readonly index: number; mtu: number; up: boolean } | undefined;
  /** Names of vxlan interfaces that stay down. */
  readonly down = new Set<string>();
  /** Error numbers that the next additions of ports meet. */
  readonly refusals: number[] = [];
  /** Flow messages that a dump gives. */
  flows: readonly Uint8Array[] = [];
  readonly notices = new FakeNotices();
  /** What is told of interfaces. */
  readonly linkNotices = new FakeNotices();
  readonly upcalls: Uint8Array[] = [];
  readonly sends: Sent[][] = [];
  /** Octets that one send may have. */
  sendLimit = Infinity;
  readonly logged: string[] = [];
  readonly requests: string[] = [];
  open = 0;
  readonly cpus = 2;
  readonly log: Logger = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [
      level,
      (event: string, fields?: LogFields) =>
        this.logged.push([level, event, fields?.["what"]].join(" ").trim()),
    ]),
  ) as unknown as Logger;

  readonly #count = (by: 1 | -1) => void (this.open += by);

  /** Misses that are received at once, as it is when the socket is opened. */
  batchSize = 4;

  openControl(): NetlinkSocket {
    return fakeSocket((message) => this.#answer(message), { count: this.#count });
  }
  openRoute(): NetlinkSocket {
    return fakeSocket((message) => this.#route(message), { portId: 2, count: this.#count });
  }
  openUpcalls(): UpcallSocket {
    this.open++;
    return {
      portId: UPCALL_PID,
      fd: 20,
      batchSize: this.batchSize,
      receiveBatch: () => this.upcalls.splice(0, this.batchSize),
      sendFirst: (buffer, length) => {
        if (length > this.sendLimit) throw new Error("message too long");
        this.sends.push(this.#split(buffer.slice(0, length)));
      },
      request: () => assert.fail("misses are no requests"),
      send: () => assert.fail("sends go by sendFirst"),
      [Symbol.dispose]: () => this.#count(-1),
    };
  }
  openNotices(groups: readonly number[]): NoticeSocket {
    assert.deepEqual(groups, [3, 4]);
    return this.#listen(this.notices, 21);
  }
  openLinkNotices(): NoticeSocket {
    return this.#listen(this.linkNotices, 22);
  }
  #listen(notices: FakeNotices, fd: number): NoticeSocket {
    this.#count(1);
    return { fd, receive: () => notices.receive(), [Symbol.dispose]: () => this.#count(-1) };
  }
  interfaceIndex = (name: string): number => {
    if (name === "openvswitch" && this.autoload) this.loaded = true;
    return 0;
  };

  /** A message about a port, as an answer or a notification. */
  portMessage(port: FakePort, command: number = OVS_CMD.new, datapath = DATAPATH_INDEX): Uint8Array {
    const writer = begin(FAMILIES.ovs_vport, command, datapath);
    writer.attrU32(1, port.port).attrU32(2, port.type).attrText(3, port.name).attrU32(5, port.pid);
    const options = writer.open(4);
    if (port.udpPort !== undefined) writer.attrU16(1, port.udpPort);
    return writer.close(options).end().finish();
  }
  /** A message about the datapath. */
  datapathMessage(command: number = OVS_CMD.new, datapath = DATAPATH_INDEX): Uint8Array {
    const { features, name, pids } = this.datapath ?? { name: "meshnet", features: 0, pids: [] };
    const writer = begin(FAMILIES.ovs_datapath, command, datapath).attrText(1, name).attrU32(5, features);
    return (pids.length > 0 ? writer.attrU32s(8, pids) : writer).end().finish();
  }

  #split(bytes: Uint8Array): Sent[] {
    const split = splitMessages(bytes);
    assert.ok(split.ok);
    return split.value.map(({ type, body }) => {
      const family = (Object.keys(FAMILIES) as (keyof typeof FAMILIES)[]).find((name) =>
        FAMILIES[name] === type
      )!;
      const whole = new Uint8Array(body.buffer, body.byteOffset - 16, body.length + 16);
      return { family, command: body[0]!, bytes: whole };
    });
  }

  #answer(message: Uint8Array): readonly Uint8Array[] {
    const type = message[4]!;
    if (type === 16) return [this.#family(attributesOf(message, 20).get(2)!)];
    const opened = openOvs(message);
    assert.ok(opened.ok);
    const { command } = opened.value;
    const given = attributesOf(message, 24);
    this.requests.push(`${Object.entries(FAMILIES).find(([, id]) => id === type)![0]} ${command}`);
    if (type === FAMILIES.ovs_datapath) return [this.#onDatapath(command, given)];
    if (type === FAMILIES.ovs_vport) return this.#onPort(command, given);
    if (type === FAMILIES.ovs_meter) return void this.meters.push(u32Of(given.get(1)!)), [];
    return this.flows;
  }

  #family(nameBytes: Uint8Array): Uint8Array {
    const name = textOf(nameBytes) as keyof typeof FAMILIES;
    if (!this.loaded || name === "ovs_meter" && !this.hasMeters) throw refusal(ERRNO.ENOENT);
    const writer = new NetlinkWriter().begin(16, 0).u32(1).attrU16(1, FAMILIES[name]).attrText(2, name);
    const groups = writer.open(7);
    const one = writer.open(1);
    if (GROUPS[name] !== undefined) writer.attrU32(2, GROUPS[name]).attrText(1, name);
    return writer.close(one).close(groups).end().finish();
  }

  #onDatapath(command: number, given: ReadonlyMap<number, Uint8Array>): Uint8Array {
    const name = textOf(given.get(1) ?? new Uint8Array(0));
    const features = given.has(5) ? u32Of(given.get(5)!) : 0;
    if (command === OVS_CMD.get && this.datapath?.name !== name) throw refusal(ERRNO.ENODEV);
    if (command === OVS_CMD.del) {
      this.ports.clear();
      const gone = this.datapathMessage(command);
      this.datapath = undefined;
      return gone;
    }
    if (command !== OVS_CMD.get) {
      if ((features & 8) !== 0 && !this.perCpu) throw refusal(ERRNO.EOPNOTSUPP);
      if (command === OVS_CMD.new && (this.datapath?.name === name || this.interfaces.has(name))) {
        throw refusal(ERRNO.EEXIST);
      }
      const pids = given.has(8) ? u32sOf(given.get(8)!) : this.datapath?.pids ?? [];
      if (command === OVS_CMD.new) this.ports.set(0, { port: 0, type: 2, name, pid: 0 });
      this.datapath = { name: command === OVS_CMD.new ? name : this.datapath!.name, features, pids };
    }
    return this.datapathMessage(command);
  }

  #onPort(command: number, given: ReadonlyMap<number, Uint8Array>): readonly Uint8Array[] {
    const all = [...this.ports.values()];
    if (command === OVS_CMD.new) {
      const errno = this.refusals.shift() ?? 0;
      if (errno !== 0) throw refusal(errno);
      const taken = textOf(given.get(3)!);
      if (all.some((port) => port.name === taken)) throw refusal(ERRNO.EEXIST);
      const port = Math.max(-1, ...this.ports.keys()) + 1;
      const options = given.get(4)!;
      const udpPort = options.length > 0 ? options[4]! | options[5]! << 8 : undefined;
      const made = {
        port,
        type: u32Of(given.get(2)!),
        name: textOf(given.get(3)!),
        udpPort,
        pid: u32Of(given.get(5)!),
      };
      this.ports.set(port, made);
      return [this.portMessage(made)];
    }
    if (command === OVS_CMD.get && given.size === 0) {
      return all.map((port) => this.portMessage(port, command));
    }
    const name = given.has(3) ? textOf(given.get(3)!) : undefined;
    const found = name === undefined
      ? this.ports.get(u32Of(given.get(1)!))
      : all.find((port) => port.name === name);
    if (found === undefined) throw refusal(ERRNO.ENODEV);
    if (command === OVS_CMD.set) found.pid = u32Of(given.get(5)!);
    if (command === OVS_CMD.del) this.ports.delete(found.port);
    return [this.portMessage(found, command)];
  }

  /** RTM_GETLINK 18 and RTM_NEWLINK 16. */
  #route(message: Uint8Array): readonly Uint8Array[] {
    const view = viewOf(message);
    const given = attributesOf(message, 32);
    const index = view.getInt32(20, true);
    const own = index === DATAPATH_INDEX;
    const { tap } = this;
    if (message[4] === 16) {
      if (tap !== undefined && index === tap.index) {
        tap.mtu = u32Of(given.get(4)!);
        tap.up = (view.getUint32(24, true) & 1) === 1;
        return [];
      }
      assert.ok(own);
      this.link = { mtu: u32Of(given.get(4)!), up: (view.getUint32(24, true) & 1) === 1 };
      return [];
    }
    const name = own ? "meshnet" : textOf(given.get(3)!);
    const isTap = !own && name === tap?.name;
    if (!own && !isTap && ![...this.ports.values()].some((port) => port.name === name)) {
      throw refusal(ERRNO.ENODEV);
    }
    const up = own ? this.link.up : isTap ? tap.up : !this.down.has(name);
    const mtu = own ? this.link.mtu : isTap ? tap.mtu : 65535;
    return [linkMessage({ index: own ? DATAPATH_INDEX : isTap ? tap.index : 77, name, up, mtu })];
  }
}

function begin(family: number, command: number, datapath: number): NetlinkWriter {
  return new NetlinkWriter().begin(family, 0).u8(command).u8(1).u16(0).u32(datapath);
}
