/** Whereabouts in the kernel's maps, by which programs carry frames between known addresses, and the news of such frames. */
import { type Mac, macToBytes } from "../../core/addr.ts";
import type { FlowKey } from "../../wire/netlink/ovs_keys.ts";
import type { SwitchedEvent, WhereaboutsEffect } from "../../overlay/ports/switched_types.ts";
import {
  ACTION,
  KEY,
  MAC_KEY_SIZE,
  type MapName,
  MAPS,
  NEWS,
  ORIGIN_SIZE,
  readFlowKey,
  writeAction,
  writeFlowKey,
} from "./layout.ts";
import type { MachineMap, MachineRing } from "./machine.ts";
import type { Tables } from "./tables_shell.ts";

/** News taken by one call of drain(). */
const AT_ONCE = 256;

const octets = (size: number) => new Uint8Array(new ArrayBuffer(size));

/** Owner of three maps and of the ring. One thread, synchronous. */
export class WhereaboutsMaps implements Disposable {
  readonly #key = octets(KEY.size);
  readonly #origin = octets(ORIGIN_SIZE);
  readonly #mac = octets(MAC_KEY_SIZE);
  readonly #place = octets(4);
  readonly #placeView = new DataView(this.#place.buffer);
  readonly #action = octets(ACTION.size);
  readonly #news = octets(NEWS.size);
  readonly #newsView = new DataView(this.#news.buffer);
  /** Keys of origins in the kernel: that of a port that has gone cannot be made any more. */
  readonly #origins = new Map<string, Uint8Array>();

  /** Forgets what an earlier process knew: nobody has looked after it since. */
  constructor(
    readonly parts: {
      readonly maps: Readonly<Record<MapName, MachineMap>>;
      readonly translator: Tables["translator"];
      /** The ring of the map `news`. */
      readonly ring: MachineRing;
    },
  ) {
    for (const name of ["origins", "places", "ways"] as const) empty(parts.maps[name], MAPS[name].keySize);
  }

  /** Descriptor that is ready when there are news. */
  get fd(): number {
    return this.parts.ring.fd;
  }

  /** Has the kernel know. What there is no room for is not known to it, and its frames are misses. */
  perform({ macs, origins, ways }: WhereaboutsEffect): void {
    for (const [mac, place] of macs) this.#setMac(mac, place);
    for (const [key, place] of origins) this.#setOrigin(key, place);
    for (const [place, action] of ways) {
      const { maps, translator } = this.parts;
      this.#placeView.setUint32(0, place, true);
      const known = action !== undefined && writeAction(this.#action, 0, action, translator) &&
        maps.ways.put(this.#place, this.#action) === 0;
      if (!known) maps.ways.delete(this.#place);
    }
  }

  #setMac(mac: Mac, place: number | undefined): void {
    const { places } = this.parts.maps;
    this.#mac.set(macToBytes(mac));
    this.#placeView.setUint32(0, place ?? 0, true);
    if (place === undefined || places.put(this.#mac, this.#place) !== 0) places.delete(this.#mac);
  }

  #setOrigin(key: FlowKey, place: number | undefined): void {
    const { maps: { origins }, translator } = this.parts;
    const { inPort, tunnel } = key;
    const text = `${inPort} ${tunnel?.id} ${tunnel?.src} ${tunnel?.dst}`;
    const old = this.#origins.get(text);
    if (old !== undefined) {
      this.#origin.set(old);
      origins.delete(this.#origin);
      this.#origins.delete(text);
    }
    if (place === undefined || !writeFlowKey(this.#key, key, translator)) return;
    this.#origin.set(this.#key.subarray(0, ORIGIN_SIZE));
    this.#placeView.setUint32(0, place, true);
    if (origins.put(this.#origin, this.#place) === 0) this.#origins.set(text, this.#origin.slice());
  }

  /** Hands over a bounded part of the news; true when there may be more. */
  drain(post: (event: SwitchedEvent) => void): boolean {
    return this.parts.ring.read((bytes, from, to) => {
      if (to - from !== NEWS.size) return;
      this.#news.set(bytes.subarray(from, to));
      const length = this.#newsView.getUint32(NEWS.bytes, true);
      this.#newsView.setUint32(KEY.wide, 0, true);
      const key = readFlowKey(this.#news, 0, this.parts.translator);
      if (key !== undefined) post({ kind: "switched", key, bytes: length });
    }, AT_ONCE);
  }

  /** Closes the ring; what the kernel knows stays. */
  [Symbol.dispose](): void {
    this.parts.ring[Symbol.dispose]();
  }
}

function empty(map: MachineMap, keySize: number): void {
  const found: Uint8Array[] = [];
  map.each((keys, _, count) => {
    for (let i = 0; i < count; i++) found.push(keys.slice(i * keySize, (i + 1) * keySize));
  });
  const key = octets(keySize);
  for (const one of found) {
    key.set(one);
    map.delete(key);
  }
}
