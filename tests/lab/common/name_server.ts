/** A name server for tests, a program: answers one name with one IPv4 address, all others with NXDOMAIN, over UDP and TCP.
 * Arguments: where it listens, the name, the address. */

const [listen, name, address] = Deno.args as [string, string, string];
const known = `${name.split(".").map((label) => String.fromCharCode(label.length) + label).join("")}\0`;

function answerTo(question: Uint8Array): Uint8Array {
  const end = question.indexOf(0, 12) + 5;
  const asked = String.fromCharCode(...question.subarray(12, end - 4)).toLowerCase();
  const isA = question[end - 3] === 1;
  const isKnown = asked === known;
  const count = isKnown && isA ? 1 : 0;
  const head = [question[0]!, question[1]!, 0x81, isKnown ? 0x80 : 0x83, 0, 1, 0, count, 0, 0, 0, 0];
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split(".").map(Number)];
  return Uint8Array.from([...head, ...question.subarray(12, end), ...count === 1 ? record : []]);
}

async function overTcp(): Promise<void> {
  for await (const connection of Deno.listen({ hostname: listen, port: 53 })) {
    const message = new Uint8Array(2_048);
    await connection.read(message).catch(() => null);
    const answer = answerTo(message.subarray(2));
    const framed = Uint8Array.from([answer.length >> 8, answer.length & 0xff, ...answer]);
    await connection.write(framed).catch(() => 0);
    connection.close();
  }
}

const socket = Deno.listenDatagram({ transport: "udp", hostname: listen, port: 53 });
void overTcp();
console.log("ready");
for await (const [message, sender] of socket) await socket.send(answerTo(message), sender);
