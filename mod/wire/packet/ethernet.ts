/** Ethernet headers (IEEE 802.3). */

/** Octets of an Ethernet header without tag. */
export const ETHERNET_HEADER = 14;
/** Types of payload. */
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;
