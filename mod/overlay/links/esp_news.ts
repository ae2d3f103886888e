/** What the kernel's IPsec tells, brought to the links that it is about. */
import type { LinkId } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import { saKey, type XfrmEffect, type XfrmNews } from "../ports/esp_port.ts";
import type { EspTable } from "./esp_table.ts";
import type { FastdpLink } from "./fastdp_link.ts";
import type { ForwarderEvent } from "./forwarder.ts";
import type { Slot } from "./overlay_link.ts";

/** A link, as far as it matters here. */
export interface KeyedLink {
  readonly id: LinkId;
  readonly fastdp: Slot<FastdpLink> | undefined;
}

/** All links, and what is done with those that the news are about. */
export interface KeyedLinks<L extends KeyedLink> {
  readonly table: EspTable;
  readonly links: ReadonlyMap<LinkId, L>;
  readonly out: { readonly effects: { push(effect: XfrmEffect): unknown } };
  /** Passes on what the fast path of a link wants; its status may have changed. */
  readonly settle: (link: L, events: readonly ForwarderEvent[]) => void;
  /** Ends a connection. */
  readonly fail: (link: L, reason: string) => void;
}

/** Takes news. */
export function takeXfrmNews<L extends KeyedLink>(news: XfrmNews, now: Millis, around: KeyedLinks<L>): void {
  const { table, settle, fail } = around;
  switch (news.kind) {
    case "xfrm-guarded":
      table.guarded(news, now);
      for (const { esp, link } of sealed(around)) {
        const guard = table.guardOf(esp.options.path);
        if (guard !== undefined && guard !== "") esp.fail(guard);
        settle(link, []);
      }
      return;
    case "xfrm-disturbed":
      return table.disturbed(now);
    case "xfrm-present": {
      const keys = new Set(news.sas.map(saKey));
      for (const { esp, link } of sealed(around)) {
        const events = esp.present(keys, now);
        if (typeof events === "string") fail(link, events);
        else if (events.length > 0) settle(link, events);
      }
      return;
    }
    case "xfrm-worn":
      for (const { esp, link } of sealed(around)) {
        if (esp.owns(news.sa)) settle(link, esp.renew(now));
      }
      return;
    default: {
      const link = around.links.get(news.link);
      const forwarder = link?.fastdp?.forwarder;
      if (forwarder?.options.esp === undefined) {
        if (news.kind !== "xfrm-receiving") return;
        // The connection ended before this was made.
        const { path: { local, remote }, spi } = news;
        return void around.out.effects.push({
          kind: "xfrm",
          do: "forget",
          sa: { src: remote, dst: local, spi },
        });
      }
      settle(link!, forwarder.xfrm(news, now));
      if (news.kind === "xfrm-sending") table.carries(forwarder.options.esp, now);
    }
  }
}

function* sealed<L extends KeyedLink>({ links }: KeyedLinks<L>) {
  for (const link of links.values()) {
    const esp = link.fastdp?.forwarder.options.esp;
    if (esp !== undefined) yield { link, esp };
  }
}
