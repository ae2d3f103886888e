/** The IPsec of one fake host: guards, associations and what goes through them. */
import type { Ip } from "../../../mod/core/addr.ts";
import type { EspSa, XfrmEffect, XfrmNews } from "../../../mod/overlay/esp_port.ts";

let lastSpi = 0x1000;

/** What a host's kernel keeps, also while its router is dead. */
export class FakeIpsec {
  /** Remote ends whose traffic is guarded; what it goes through, undefined: nothing. */
  readonly guards = new Map<Ip, number | undefined>();
  readonly sas = new Set<string>();

  constructor(readonly works = true) {}

  perform(effect: XfrmEffect, post: (news: XfrmNews) => void): void {
    switch (effect.do) {
      case "guard":
        if (!this.works) return post({ kind: "xfrm-guarded", path: effect.path, reason: "no IPsec here" });
        if (!this.guards.has(effect.path.remote)) this.guards.set(effect.path.remote, undefined);
        return post({ kind: "xfrm-guarded", path: effect.path, reason: undefined });
      case "unguard":
        return void this.guards.delete(effect.path.remote);
      case "receive": {
        const { link, path, round } = effect;
        const spi = ++lastSpi;
        this.sas.add(nameOf({ src: path.remote, dst: path.local, spi }));
        return post({ kind: "xfrm-receiving", link, round, spi, nonce: new Uint8Array(32) });
      }
      case "send": {
        const { link, path, round, spi } = effect;
        this.sas.add(nameOf({ src: path.local, dst: path.remote, spi }));
        this.guards.set(path.remote, spi);
        return post({ kind: "xfrm-sending", link, round });
      }
      case "keep":
      case "carry":
        return void this.guards.set(effect.path.remote, effect.spi);
      case "forget":
        return void this.sas.delete(nameOf(effect.sa));
      case "forget-earlier":
        return;
    }
  }
  /** How a packet to a remote end leaves: in clear, sealed with an association, or not at all. */
  leaves(src: Ip, dst: Ip): "clear" | "blocked" | number {
    if (!this.guards.has(dst)) return "clear";
    const spi = this.guards.get(dst);
    return spi !== undefined && this.sas.has(nameOf({ src, dst, spi })) ? spi : "blocked";
  }
  /** Whether a packet that came so is taken. */
  takes(src: Ip, dst: Ip, how: "clear" | number): boolean {
    return how === "clear" ? !this.guards.has(src) : this.sas.has(nameOf({ src, dst, spi: how }));
  }
}

function nameOf({ dst, spi, src }: EspSa): string {
  return `${src}>${dst} ${spi}`;
}
