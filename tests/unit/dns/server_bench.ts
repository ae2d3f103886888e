/** A name server on a bench: questions in, answers as a person reads them. */
import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import type { ClientAddress, PossibleClients } from "../../../mod/dns/answers/choice.ts";
import {
  type Asker,
  type DnsVerdict,
  NameServer,
  type NameServerOptions,
} from "../../../mod/dns/answers/name_server.ts";
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { encodeName } from "../../../mod/wire/dns/dns_text.ts";
import { seededRandom } from "../properties.ts";
import { decodeReference, encodeReference, type ReferenceMessage } from "../wire/dns/dns_packet.ts";
import { addressOf, Bench, peer } from "./bench.ts";

/** A question as tests write it. */
export interface Question {
  readonly name: string;
  readonly type?: string;
  readonly transport?: "udp" | "tcp";
  readonly edns?: number | undefined;
  readonly possible?: PossibleClients;
  readonly largest?: number;
}

/** An address with the length of its prefix. */
export function client(...cidrs: readonly string[]): ClientAddress[] {
  return cidrs.map((text) => {
    const { ip, prefix } = parseCidr(text)!;
    return { addr: addressOf(ip), prefix };
  });
}

/** The octets of a question. */
export function query(
  { name, type = "A", edns }: Question,
  more: ReferenceMessage = {},
): Uint8Array<ArrayBuffer> {
  return encodeReference({
    ...{ id: 4711, type: "query", flags: 0x100, questions: [{ name: name.replace(/\.$/, ""), type }] },
    additionals: edns === undefined ? [] : [{ name: ".", type: "OPT", udpPayloadSize: edns }],
    ...more,
  });
}

/** A server of peer 1 in `weave.local.` with a directory. */
export class ServerBench {
  readonly server: NameServer;
  readonly bench: Bench;
  readonly out = new Uint8Array(65_535);
  readonly #queries = new Map<string, Uint8Array<ArrayBuffer>>();

  constructor(options: Partial<NameServerOptions> = {}) {
    this.server = new NameServer({
      ...{ domain: "weave.local.", ttl: 1, order: "random", plainCap: undefined, self: peer(1) },
      ...{ random: seededRandom(), rttMs: () => undefined, ...options },
    });
    this.bench = new Bench(this.server.index.watch);
  }

  /** Entries of another host. */
  hear(...entries: readonly DnsEntry[]): void {
    this.bench.hear(entries);
  }

  /** What becomes of a message. */
  verdict(bytes: Uint8Array, asker: Partial<Asker> = {}): DnsVerdict {
    return this.server.answer(bytes, { transport: "udp", possible: [], largest: 4_096, ...asker }, this.out);
  }

  /** What is answered. */
  ask(question: Question): Required<ReferenceMessage> & { readonly length: number } {
    const { transport = "udp", possible = [], largest = 4_096 } = question;
    const verdict = this.verdict(query(question), { transport, possible, largest });
    assert.ok(verdict.kind === "reply" || verdict.kind === "follow", `${question.name}: ${verdict.kind}`);
    return { ...decodeReference(this.out.subarray(0, verdict.length)), length: verdict.length };
  }

  /** The addresses that a client is answered over UDP, read quickly. */
  addresses(name: string, possible: PossibleClients): number[] {
    const bytes = this.#queries.get(name) ?? query({ name });
    this.#queries.set(name, bytes);
    const verdict = this.server.answer(bytes, { transport: "udp", possible, largest: 4_096 }, this.out);
    assert.ok(verdict.kind === "reply");
    const view = new DataView(this.out.buffer);
    const each = bytes.length - 12 + 10;
    const first = bytes.length + each - 4;
    return Array.from({ length: view.getUint16(6) }, (_, i) => view.getUint32(first + i * each));
  }

  /** The data of the answers. */
  data(question: Question): string[] {
    return this.ask(question).answers.map(({ data }) =>
      typeof data === "string" ? data : JSON.stringify(data)
    );
  }
}

/** The data of a CNAME record, as hex. */
export function nameData(name: string): string {
  return encodeName(name).toHex();
}
