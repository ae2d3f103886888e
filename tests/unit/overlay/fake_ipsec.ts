/** The IPsec of one fake host: guards, associations and what goes through them. */
import type { Ip } from "../../../mod/core/addr.ts";
import { type EspSa, saKey, type XfrmEffect, type XfrmNews } from "../../../mod/overlay/ports/esp_port.ts";

let lastSpi = 0x1000;

/** What a host's kernel keeps, also while its router is dead. */
export class FakeIpsec {
  /** Remote ends whose traffic is guarded; what it goes through, undefined: nothing. */
  readonly guards = new Map<Ip, number | undefined>();
  readonly sas = new Map<string, EspSa>();

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
        this.#add({ src: path.remote, dst: path.local, spi });
        return post({ kind: "xfrm-receiving", link, round, path, spi, nonce: nonceOf(spi) });
      }
      case "send": {
        const { link, path, round, spi } = effect;
        this.#add({ src: path.local, dst: path.remote, spi });
        this.guards.set(path.remote, spi);
        return post({ kind: "xfrm-sending", link, round });
      }
      case "keep":
        for (const { path, spi } of effect.wanted) this.guards.set(path.remote, spi);
        return post({ kind: "xfrm-present", sas: [...this.sas.values()] });
      case "carry":
        return void this.guards.set(effect.path.remote, effect.spi);
      case "forget":
        return void this.sas.delete(saKey(effect.sa));
      case "forget-earlier":
        return;
    }
  }
  /** Another program removes everything. */
  flush(): void {
    this.guards.clear();
    this.sas.clear();
  }
  #add(sa: EspSa): void {
    this.sas.set(saKey(sa), sa);
  }
  /** How a packet to a remote end leaves: in clear, sealed with an association, or not at all. */
  leaves(src: Ip, dst: Ip): "clear" | "blocked" | number {
    if (!this.guards.has(dst)) return "clear";
    const spi = this.guards.get(dst);
    return spi !== undefined && this.sas.has(saKey({ src, dst, spi })) ? spi : "blocked";
  }
  /** Whether a packet that came so is taken. */
  takes(src: Ip, dst: Ip, how: "clear" | number): boolean {
    return how === "clear" ? !this.guards.has(src) : this.sas.has(saKey({ src, dst, spi: how }));
  }
}

/** No nonce comes twice. */
function nonceOf(spi: number): Uint8Array {
  const nonce = new Uint8Array(32);
  new DataView(nonce.buffer).setUint32(0, spi);
  return nonce;
}
