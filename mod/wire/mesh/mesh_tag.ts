/** First byte of every mesh message. Unknown tags and empty messages are ignored (spec mesh.md 4.1). */
export const TAG = {
  /** Nothing follows; keeps the peer from closing a silent connection. */
  heartbeat: 0,
  /** Overlay control of a very old peer, bare: its heartbeat arrived. */
  bareEstablished: 1,
  /** Overlay control of a very old peer, bare: its fragmented packet arrived. */
  bareFragmentation: 2,
  /** Overlay control of a very old peer, bare: its packet of this size arrived. */
  bareMtu: 3,
  /** Gossip to neighbours. */
  gossip: 4,
  /** Gossip for one peer, relayed as it is. */
  gossipUnicast: 5,
  /** Gossip for all peers. */
  gossipBroadcast: 6,
  /** Overlay control. */
  overlayControl: 7,
} as const;
