/** Text that names and containers consist of: bounded, and harmless on a terminal. */

/** Longest name, in octets as it is on the wire. */
export const MAX_NAME_OCTETS = 255;
/** Longest label of a name. */
export const MAX_LABEL = 63;
/** Longest id of a container. */
const MAX_CONTAINER_ID = 128;

/** Printable ASCII without space, quotation mark and backslash. */
const PLAIN = /^[!#-[\]-~]*$/;

/** Whether text is a whole name: labels of 1 to 63 plain characters, each with its dot. */
export function isHostname(text: string): boolean {
  if (text.length >= MAX_NAME_OCTETS || !text.endsWith(".") || !PLAIN.test(text)) return false;
  let start = 0;
  for (let dot = text.indexOf("."); dot !== -1; dot = text.indexOf(".", start)) {
    if (dot === start || dot - start > MAX_LABEL) return false;
    start = dot + 1;
  }
  return true;
}

/** Whether text can be the id of a container. */
export function isContainerId(text: string): boolean {
  return text.length <= MAX_CONTAINER_ID && PLAIN.test(text);
}

/** A whole name as labels, each with its length before it; not compressed. The name must be one by `isHostname`. */
export function encodeName(hostname: string): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(hostname.length + 1);
  let length = 0;
  for (let i = hostname.length - 1; i >= 0; i--) {
    const code = hostname.charCodeAt(i);
    if (code === 0x2e) {
      out[i + 1] = length;
      length = 0;
    } else {
      out[i + 1] = code;
      length++;
    }
  }
  out[0] = length;
  return out;
}

/** The same for a name as answers are read: dots and odd octets of labels are written as `\DDD` in it. */
export function encodeEscaped(name: string): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  for (const label of name === "." ? [] : name.split(".").slice(0, -1)) {
    const octets = [...label.matchAll(/\\(\d{3})|[^]/g)].map(([text, code]) =>
      code === undefined ? text.charCodeAt(0) : Number(code)
    );
    out.push(octets.length, ...octets);
  }
  return Uint8Array.from([...out, 0]);
}
