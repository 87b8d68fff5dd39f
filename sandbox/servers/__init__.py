"""The real-protocol services on loopback."""
