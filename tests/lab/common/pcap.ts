/** Files that `tcpdump -w` writes. */

/** The frames in one, as they were on the wire. */
export function readPcap(file: Uint8Array<ArrayBuffer>): readonly Uint8Array<ArrayBuffer>[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 24; at + 16 <= file.length;) { // struct pcap_file_header, then a struct pcap_pkthdr before each
    const length = view.getUint32(at + 8, true);
    frames.push(file.slice(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}
