/** The kernel behind rtnetlink as far as the switch asks it: links, the hooks of their frames, and filters there. */
import assert from "node:assert/strict";
import { ERRNO } from "../../../../mod/core/errno.ts";
import type { NetlinkSocket } from "../../../../mod/core/ports.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import type { FilterHook } from "../../../../mod/wire/netlink/rtnetlink.ts";
import { attributesOf, fakeSocket, headOf, refusal, textOf, u32Of, viewOf } from "../../kernel_messages.ts";

/** An interface. */
export interface RouteLink {
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  master?: number | undefined;
  /** Whether a program (XDP) takes what it receives. */
  shut?: boolean;
  /** UDP port of a VXLAN interface whose frames say through which tunnel they go. */
  readonly udpPort?: number;
}

/** A filter at our place. */
export interface RouteFilter {
  readonly name: string;
  readonly program: number;
}

const HOOKS: Readonly<Record<number, FilterHook>> = { 0xffff_fff2: "in", 0xffff_fff3: "out" };

/** All of one host. Programs have the ids of FakeMachine: descriptors plus 100. */
export class FakeRoute {
  readonly links: RouteLink[] = [];
  /** By index and hook: "7 in". */
  readonly filters = new Map<string, RouteFilter>();
  /** Requests that put a filter or take one away, and that change, make or remove an interface. */
  readonly changes: string[] = [];
  /** What this kernel answers to requests about filters; 0: as one that knows them. */
  noFilters = 0;
  open = 0;

  socket(): NetlinkSocket {
    return fakeSocket((message) => this.#answer(message), { count: (by) => this.open += by });
  }

  add(link: RouteLink): RouteLink {
    this.links.push(link);
    return link;
  }

  #byIndex(index: number): RouteLink {
    const link = this.links.find((one) => one.index === index);
    if (link === undefined) throw refusal(ERRNO.ENODEV);
    return link;
  }

  #answer(message: Uint8Array): Uint8Array[] {
    const { body, create, dump, type } = headOf(message);
    const view = viewOf(body);
    const index = view.getInt32(4, true);
    switch (type) {
      case 16:
        return this.#setLink(index, create, attributesOf(body, 16));
      case 17:
        this.changes.push(`remove ${this.#byIndex(index).name}`);
        this.links.splice(this.links.indexOf(this.#byIndex(index)), 1);
        return [];
      case 18: {
        if (dump) return this.links.map(encodeLink);
        const name = attributesOf(body, 16).get(3);
        const found = name === undefined
          ? this.#byIndex(index)
          : this.links.find((one) => one.name === textOf(name));
        if (found === undefined) throw refusal(ERRNO.ENODEV);
        return [encodeLink(found)];
      }
      case 19: // how a bridge treats a port
      case 36: // the hooks
        return [];
      case 44:
      case 45:
      case 46:
        if (this.noFilters !== 0) throw refusal(this.noFilters);
        return this.#filter(type, `${this.#byIndex(index).index} ${HOOKS[view.getUint32(12, true)]}`, body);
    }
    assert.fail(`request ${type}`);
  }

  #setLink(index: number, create: boolean, found: ReadonlyMap<number, Uint8Array>): Uint8Array[] {
    if (create) {
      const name = textOf(found.get(3)!);
      const info = attributesOf(found.get(18)!);
      this.changes.push(`make ${name}`);
      const udpPort = name.startsWith("vxlan-") ? { udpPort: Number(name.slice(6)) } : {};
      this.add({ index: this.links.length + 50, name, kind: textOf(info.get(1)!), ...udpPort });
      return [];
    }
    const link = this.#byIndex(index);
    if (found.has(10)) link.master = u32Of(found.get(10)!);
    const program = found.get(43);
    if (program !== undefined) {
      link.shut = u32Of(attributesOf(program).get(1)!) !== 0xffff_ffff;
      this.changes.push(`${link.shut ? "shut" : "open"} ${link.name}`);
    }
    return [];
  }

  #filter(type: number, place: string, body: Uint8Array): Uint8Array[] {
    if (type === 45) {
      this.changes.push(`filter off ${place}`);
      if (!this.filters.delete(place)) throw refusal(ERRNO.ENOENT);
    } else if (type === 44) {
      this.changes.push(`filter on ${place}`);
      const options = attributesOf(attributesOf(body, 20).get(2)!);
      this.filters.set(place, { name: textOf(options.get(7)!), program: u32Of(options.get(6)!) + 100 });
    } else return [...this.filters].flatMap(([at, one]) => at === place ? [encodeFilter(one)] : []);
    return [];
  }
}

function encodeLink({ index, kind, master, name, shut = false, udpPort }: RouteLink): Uint8Array {
  const writer = new NetlinkWriter().begin(16, 0).u8(0).u8(0).u16(1).u32(index).u32(0x10001).u32(0);
  writer.attrText(3, name).attrU32(4, 1_500).attrBytes(1, Uint8Array.of(2, 0, 0, 0, 0, 1));
  if (master !== undefined) writer.attrU32(10, master);
  const xdp = writer.open(43);
  writer.attrU8(2, shut ? 2 : 0).close(xdp);
  const info = writer.open(18);
  writer.attrText(1, kind);
  const data = writer.open(2);
  if (udpPort !== undefined) writer.attrU8(25, 1).attrBe16(15, udpPort);
  return writer.close(data).close(info).end().finish();
}

function encodeFilter({ name, program }: RouteFilter): Uint8Array {
  const writer = new NetlinkWriter().begin(44, 0).u32(0).u32(1).u32(1).u32(0).u32((6784 << 16) >>> 0);
  writer.attrText(1, "bpf");
  const options = writer.open(2);
  return writer.attrText(7, name).attrU32(11, program).close(options).end().finish();
}
