/** Ports of loopback that no other program is given meanwhile. */

/** The range below the one from which kernels take the ports of those who ask for any, and above most services. */
const [FIRST, COUNT] = [10_000, 20_000];

/** A port that somebody has only if he names it. Whether it is free is found out by taking it. */
export function unusualPort(): number {
  return FIRST + Math.floor(Math.random() * COUNT);
}

/** A port that is free on an address over TCP, and stays so while nobody names it. */
export function freePort(hostname: string): number {
  for (;;) {
    const port = unusualPort();
    try {
      using _listener = Deno.listen({ hostname, port });
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
