/** Names that all servers of the bench have. */

/** Below it are all of them. */
export const DOMAIN = "mesh.internal";
const FIRST_ADDRESS = 0x0a20_0001;

/** A name, without the dot at its end. */
export function benchName(i: number): string {
  return `host${i}.${DOMAIN}`;
}

/** Its address. */
export function benchAddress(i: number): number {
  return FIRST_ADDRESS + i;
}

/** Its address as text. */
export function addressText(i: number): string {
  const address = benchAddress(i);
  return [24, 16, 8, 0].map((shift) => address >>> shift & 255).join(".");
}
