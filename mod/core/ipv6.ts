/** IPv6 addresses as octets and as canonical text (RFC 5952), quickly: some go along with each flow. */

const GROUPS = 8;

/** Writes the 16 octets of an IPv6 address in canonical text. */
export function putIpv6(text: string, out: Uint8Array, at: number): void {
  out.fill(0, at, at + 2 * GROUPS);
  const gap = text.indexOf("::");
  let group = 0;
  let value = 0;
  let open = false;
  const end = gap < 0 ? text.length : gap;
  const put = () => {
    out[at + 2 * group] = value >>> 8;
    out[at + 2 * group + 1] = value & 0xff;
    value = 0;
    open = false;
  };
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 58) {
      put();
      group++;
    } else {
      value = value << 4 | digit(code);
      open = true;
    }
  }
  if (open) put();
  if (gap < 0) return;
  let shift = 0;
  group = GROUPS - 1;
  for (let i = text.length - 1; i > gap + 1; i--) {
    const code = text.charCodeAt(i);
    if (code === 58) {
      put();
      group--;
      shift = 0;
    } else {
      value |= digit(code) << shift;
      shift += 4;
      open = true;
    }
  }
  if (open) put();
}

function digit(code: number): number {
  return code <= 57 ? code - 48 : (code | 32) - 87;
}

/** The canonical text of the 16 octets at `at`. */
export function ipv6Text(bytes: Uint8Array, at: number): string {
  const groupAt = (i: number) => bytes[at + 2 * i]! << 8 | bytes[at + 2 * i + 1]!;
  // The longest run of groups that are 0, the first of such; one alone is none.
  let from = -1;
  let length = 1;
  for (let i = 0; i < GROUPS;) {
    let run = 0;
    while (i + run < GROUPS && groupAt(i + run) === 0) run++;
    if (run > length) [from, length] = [i, run];
    i += run + 1;
  }
  let text = "";
  for (let i = 0; i < GROUPS; i++) {
    if (i === from) {
      text += "::";
      i += length - 1;
    } else text += (i === 0 || text.endsWith(":") ? "" : ":") + groupAt(i).toString(16);
  }
  return text;
}
